//! Part "stages": what a record costs in a stage, and in a bare copy of the same records.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::child::Child;
use crate::cluster::Scene;
use crate::feed;
use crate::meter::median;
use crate::options::Options;
use crate::relay::RELAY_TOPICS;
use crate::report::{Report, Row, Target};
use crate::worker::Measured;

const PART: &str = "stages";

/// Something that consumes records, and what it is held against.
struct Contestant {
    name: &'static str,
    kind: Kind,
    /// Topic that it reads.
    input: &'static str,
    /// Name of the contestant that is its measure.
    against: &'static str,
    target: Option<Target>,
}

#[derive(Clone, Copy)]
enum Kind {
    Copy {
        transactional: bool,
        to: &'static str,
    },
    Stage {
        stage: &'static str,
        at_least_once: bool,
    },
}

const COPY: &str = "copy of raw alerts";
const COPY_NORMALIZED: &str = "copy of normalized alerts";

const CONTESTANTS: &[Contestant] = &[
    Contestant {
        name: COPY,
        kind: Kind::Copy {
            transactional: false,
            to: "copied",
        },
        input: "raw-alerts",
        against: COPY,
        target: None,
    },
    Contestant {
        name: "copy in transactions",
        kind: Kind::Copy {
            transactional: true,
            to: "copied",
        },
        input: "raw-alerts",
        against: COPY,
        target: Some(Target::AtLeast(0.9)),
    },
    Contestant {
        name: "passing on, at least once",
        kind: Kind::Stage {
            stage: "plain-relay",
            at_least_once: true,
        },
        input: "raw-alerts",
        against: COPY,
        target: None,
    },
    Contestant {
        name: "passing on",
        kind: Kind::Stage {
            stage: "relay",
            at_least_once: false,
        },
        input: "raw-alerts",
        against: COPY,
        target: None,
    },
    Contestant {
        name: "normalizer",
        kind: Kind::Stage {
            stage: "normalizer",
            at_least_once: false,
        },
        input: "raw-alerts",
        against: COPY,
        target: Some(Target::AtLeast(0.45)),
    },
    Contestant {
        name: COPY_NORMALIZED,
        kind: Kind::Copy {
            transactional: false,
            to: "copied",
        },
        input: "normalized-alerts",
        against: COPY_NORMALIZED,
        target: None,
    },
    Contestant {
        name: "decider",
        kind: Kind::Stage {
            stage: "decider",
            at_least_once: false,
        },
        input: "normalized-alerts",
        against: COPY_NORMALIZED,
        target: Some(Target::AtLeast(0.6)),
    },
];

/// Measures every contestant several times, each in a process of its own.
///
/// # Errors
/// If one of them fails.
pub fn run(options: &Options, dir: &Path, report: &mut Report) -> Result<()> {
    let mut seen: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
    for repetition in 0..options.repetitions {
        let scene = Scene::new(
            &options.bootstrap,
            &format!("stages{repetition}"),
            options.stage_partitions,
            &[&["copied"], RELAY_TOPICS].concat(),
        )?;
        feed::knowledge(&scene, "127.0.0.1:9")?;
        feed::raw_alerts(&scene, "raw-alerts", 0..options.records, feed::every(100))?;
        for contestant in CONTESTANTS {
            let measured = contestant.measure(&scene, options.records, dir)?;
            eprintln!("    {}: {:.2} us", contestant.name, cost(&measured));
            seen.entry(contestant.name).or_default().push(measured);
        }
        scene.remove()?;
    }
    for contestant in CONTESTANTS {
        report.add(contestant.row(&seen));
    }
    Ok(())
}

impl Contestant {
    fn measure(&self, scene: &Scene, records: u64, dir: &Path) -> Result<Measured> {
        let measured = match self.kind {
            Kind::Copy { transactional, to } => {
                let mut args = vec![
                    "copy".to_owned(),
                    format!("--bootstrap={}", scene.bootstrap),
                    format!("--from={}", scene.name(self.input)),
                    format!("--to={}", scene.name(to)),
                    format!("--partitions={}", scene.partitions),
                    format!("--records={records}"),
                ];
                if transactional {
                    args.push("--transactional".to_owned());
                }
                Child::start(
                    dir,
                    &format!("{}{}", scene.prefix, self.name.replace(' ', "-")),
                    &args,
                )?
                .measured()?
            }
            Kind::Stage {
                stage,
                at_least_once,
            } => {
                let until = format!("--until={records}");
                let mut further = vec![until.as_str()];
                if at_least_once {
                    further.push("--at-least-once");
                }
                Child::stages(dir, scene, &[stage], "bench-0", &further)?.measured()?
            }
        };
        ensure!(
            measured.records >= records,
            "{}: {} of {records} records",
            self.name,
            measured.records
        );
        Ok(measured)
    }

    fn row(&self, seen: &BTreeMap<&str, Vec<Measured>>) -> Row {
        let mine = seen.get(self.name).map_or(&[][..], Vec::as_slice);
        let measure = seen.get(self.against).map_or(&[][..], Vec::as_slice);
        let costs: Vec<f64> = mine.iter().map(cost).collect();
        // Pairs of one repetition: what else the machine did meanwhile was much the same for both.
        let ratios: Vec<f64> = mine
            .iter()
            .zip(measure)
            .map(|(mine, measure)| cost(measure) / cost(mine))
            .collect();
        let rates: Vec<f64> = mine
            .iter()
            .map(|measured| measured.records as f64 / (measured.wall_us as f64 / 1e6) / 1e3)
            .collect();
        let memory: Vec<f64> = mine
            .iter()
            .map(|measured| measured.peak_memory_mib as f64)
            .collect();
        Row::new(PART, self.name)
            .with("CPU us/record", median(&costs))
            .with("min", costs.iter().copied().fold(f64::INFINITY, f64::min))
            .with("max", costs.iter().copied().fold(0.0, f64::max))
            .with_target("x of bare copy", median(&ratios), self.target)
            .with("k records/s", median(&rates))
            .with("MiB", median(&memory))
    }
}

fn cost(measured: &Measured) -> f64 {
    measured.cpu_us as f64 / measured.records.max(1) as f64
}
