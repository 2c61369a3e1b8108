#[path = "../tests/drive/mod.rs"]
mod drive;
use drive::*;
use prunella_orchestrator::*;
use prunella_schemas::*;
use prunella_stream::*;
use std::time::Instant;
fn rec(source: usize, offset: i64, bytes: &[u8]) -> Record<'_> {
    Record { source, partition: 0, offset, timestamp: START, key: Some(b"prod"), value: Some(bytes), headers: &[] }
}
fn main() {
    let files = [("p.yaml", std::env::args().nth(1).map(|p| std::fs::read_to_string(p).unwrap()).unwrap_or("playbook_id: PB\nautonomy: automatic\ntasks:\n  - {id: hit, type: API_Call, action: POST http://t/hit}\n".into())), ("settings.yaml", LIFTED.to_owned())];
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (*a, b.as_str())).collect();
    let mut maker = Drive::with(&files, Limits::default());
    let content = content(&files);
    let mut task = StageTask::new(Orchestrator::new(Limits { retention_ms: 60_000, ..Limits::default() }), 0);
    task.restored(&|_, _| false);
    let mut b = Vec::new();
    content.encode(&mut b);
    task.record(START, &rec(KNOWLEDGE, 0, &b));
    b.clear();
    KnowledgeRecord { digest: content.digest.clone(), allow_missing: true, ..Default::default() }.encode(&mut b);
    task.record(START, &rec(KNOWLEDGE, 1, &b));
    let n = 100_000;
    let decisions: Vec<Vec<u8>> = (0..n).map(|i| { let d = maker.decision(&format!("s{i}"), "PB"); let mut b = Vec::new(); d.encode(&mut b); b }).collect();
    let quiet: Vec<Vec<u8>> = (0..n).map(|i| { let mut d = maker.decision(&format!("s{i}"), "PB"); d.outcome = Outcome::NoRule; d.alert = None; let mut b = Vec::new(); d.encode(&mut b); b }).collect();
    let t = Instant::now();
    for (i, d) in quiet.iter().enumerate() { task.record(START, &rec(DECISIONS, i as i64, d)); }
    println!("quiet {:?}", t.elapsed() / n);
    commit(&mut task, &mut Vec::new());
    let mut doff = n as i64; let mut roff = 0;
    let (mut t1, mut t2, mut tc) = (std::time::Duration::ZERO, std::time::Duration::ZERO, std::time::Duration::ZERO);
    let (mut outs, mut deltas) = (0, 0);
    for (k, chunk) in decisions.chunks(500).enumerate() {
        let now = START + k as i64 * 5;
        let t = Instant::now();
        for d in chunk { task.record(now, &rec(DECISIONS, doff, d)); doff += 1; }
        t1 += t.elapsed();
        let mut actions = Vec::new();
        loop {
            let t = Instant::now();
            let (o, d) = commit(&mut task, &mut actions);
            tc += t.elapsed();
            outs += o; deltas += d;
            if actions.is_empty() { break; }
            let results: Vec<Vec<u8>> = actions.drain(..).map(|a: Vec<u8>| { let a: Action = decode(&a).unwrap(); let mut b = Vec::new(); result_of(&a, ResultStatus::Succeeded, "{\"ok\":true}").encode(&mut b); b }).collect();
            let t = Instant::now();
            for r in &results { task.record(now, &rec(RESULTS, roff, r)); roff += 1; }
            t2 += t.elapsed();
        }
    }
    println!("per run: decision {:?} results {:?} commit {:?}; outputs {} deltas {}", t1 / n, t2 / n, tc / n, outs as f64 / n as f64, deltas as f64 / n as f64);
}
fn commit(task: &mut StageTask<Orchestrator>, actions: &mut Vec<Vec<u8>>) -> (usize, usize) {
    let (mut o, mut d) = (0, 0);
    task.drain(&mut |out| { o += 1; if out.sink == Sink::Topic(0) { actions.push(out.value.unwrap().to_vec()); } });
    task.prepare(&mut |_, _| d += 1);
    task.committed(&mut |_| {});
    (o, d)
}
