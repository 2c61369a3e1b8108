use std::sync::Arc; use std::time::Instant;
use prunella_decider::Decider; use prunella_knowledge::{KnowledgeSet, Options};
use prunella_schemas::*; use prunella_stream::{Record, StageTask, Task, Codec};
const RULES: &str = include_str!("../../../deploy/knowledge/rules.yaml");
fn alert(i: usize, kind: usize) -> NormalizedAlert {
  let (name, svc, val) = match kind { 0 => ("KubePodCrashLooping","web",None), 1 => ("High_CPU_Usage","order-service",Some(95.0)), 2 => ("High_CPU_Usage","order-service",Some(15.0)), _ => ("DB_Connection_Error","inventory-service",None) };
  NormalizedAlert { alert_id: format!("{i:032x}"), fingerprint: format!("{:016x}", if kind==4 {1} else {i}), source_system: "alertmanager".into(), alert_name: name.into(), severity: if kind==0 {Severity::Warning} else {Severity::Critical}, service_name: Some(svc.into()), metric_value: val, timestamp: 1_700_000_000_000 + i as i64 * if kind==3 {100_000} else {1}, starts_at: 1_700_000_000_000, received_at: 1_700_000_000_000 + i as i64, domain: "prod".into(), labels: (0..6).map(|n| (format!("label{n}"), format!("value-{n}-{i}"))).collect(), annotations: [("summary".to_owned(),"something is wrong here".to_owned())].into(), description: "something is wrong with it".into(), raw: RawRef{topic:"raw-alerts".into(), partition:0, offset:i as i64, index:0}, ..Default::default() } }
fn rss() -> u64 { let s = std::fs::read_to_string("/proc/self/statm").unwrap(); s.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()*4 }
fn main() {
  let set = Arc::new(KnowledgeSet::parse_with(&[KnowledgeFile{path:"r.yaml".into(), text: RULES.into()}], Options{allow_missing_playbooks:true, ..Default::default()}).unwrap());
  for kind in 0..4 {
    let n = 200_000; let mut bytes: Vec<Vec<u8>> = Vec::new();
    for i in 0..n { let mut b = Vec::new(); Codec::encode(&alert(i, kind), &mut b); bytes.push(b); }
    let t = Instant::now(); for b in &bytes { std::hint::black_box(decode::<NormalizedAlert>(b).unwrap()); } let dec = t.elapsed().as_nanos() as f64 / n as f64;
    let mut task = StageTask::new(Decider::with_knowledge(&set), 0); task.restored(&|_,_| false);
    let before = rss();
    let t = Instant::now(); let mut out = 0; let mut log = 0; let mut prep = 0u128;
    for (i, b) in bytes.iter().enumerate() {
      task.record(1_700_000_000_000 + i as i64/100, &Record{source:0,partition:0,offset:i as i64,timestamp:0,key:Some(b"prod"),value:Some(b),headers:&[]});
      if i % 500 == 499 { task.drain(&mut |o| out += o.value.unwrap().len()); let p = Instant::now(); task.prepare(&mut |k,v| log += k.len()+v.map_or(0,|v|v.len())); prep += p.elapsed().as_nanos(); task.committed(&mut |_|{}); }
    }
    let total = t.elapsed().as_nanos() as f64 / n as f64;
    println!("kind {kind}: total {total:.0} ns, decode {dec:.0}, prepare {:.0}, out {} B, log {} B, rss +{} KB, seen {} counted {}", prep as f64/n as f64, out/n, log/n, rss()-before, task.state().seen.len(), task.state().counted.len());
  }
}
