//! Apache's Java library reads what the codec writes, and the codec reads what Java writes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests; they read files and start Java"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use prunella_schemas::{ALL, Registry, by_name};
use serde_json::Value;

/// One example: the name of its schema and its JSON, by the name of its file.
type Examples = BTreeMap<String, (&'static str, Value)>;

#[test]
fn java_reads_every_example_and_what_java_writes_reads_back() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("read-by-java");
    let examples = write_examples(&here, &dir);

    let read = read_by_java(&here, &dir);
    assert_eq!(read.len(), examples.len());
    for (file, (schema, example)) in &examples {
        assert_eq!(&read[file], example, "{file}");
        let written = fs::read(dir.join(format!("{file}.java.bin"))).unwrap();
        let known = by_name(schema).unwrap();
        let back = known.to_json(&Registry::new(), &written).unwrap();
        assert_eq!(&back, example, "{file}");
    }
}

fn write_examples(here: &Path, dir: &Path) -> Examples {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
    fs::create_dir_all(dir).unwrap();
    let mut written = Examples::new();
    for known in ALL {
        let path = here.join(format!("examples/{}.json", known.name()));
        let examples: Vec<Value> =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for (index, example) in examples.into_iter().enumerate() {
            let file = format!("{}-{index}", known.name().replace('/', "-"));
            let bytes = known.encode_json(&example).unwrap();
            fs::write(dir.join(format!("{file}.avsc")), known.schema().text()).unwrap();
            fs::write(dir.join(format!("{file}.bin")), bytes).unwrap();
            written.insert(file, (known.name(), example));
        }
    }
    written
}

fn read_by_java(here: &Path, dir: &Path) -> BTreeMap<String, Value> {
    let jars = std::env::var("PRUNELLA_JARS").expect(
        "PRUNELLA_JARS is not set: it names the directory of Java's Avro library; set it with \
         export PRUNELLA_JARS=$(tests/servers/fetch)",
    );
    let output = Command::new("java")
        .arg("-Dfile.encoding=UTF-8")
        .arg("-Dstdout.encoding=UTF-8")
        .args(["-cp", &format!("{jars}/*")])
        .arg(here.join("../tests/servers/java/ReadAvro.java"))
        .arg(dir)
        .output()
        .expect("java starts; install it with: apt-get install openjdk-17-jdk-headless");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "java: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).expect(line);
            let name = line["name"].as_str().unwrap().to_owned();
            (name, line["value"].take())
        })
        .collect()
}
