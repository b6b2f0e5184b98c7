//! All scenarios.

mod connections;
mod consume;
mod end_to_end;
mod kinesis;
mod mixed;
mod partitions;
mod produce;
mod recovery;
mod start;

use crate::compare::scenario::Scenario;
use crate::kinesis::body::Encoding;
use crate::load::options::Acks;

/// Every scenario, in the order in which they run.
pub fn all() -> Vec<Box<dyn Scenario>> {
    let mut scenarios: Vec<Box<dyn Scenario>> = Vec::new();
    for (record_size, partitions) in [(1024, 16), (1024, 1), (100, 16), (100, 1)] {
        for acks in [Acks::All, Acks::Leader] {
            let by_bench =
                produce::Throughput { record_size, partitions, acks, clients: 1, by_tool: false };
            scenarios.push(Box::new(by_bench));
            scenarios.push(Box::new(produce::Throughput { by_tool: true, ..by_bench }));
            if acks == Acks::All {
                // One client is itself the limit on fast brokers.
                scenarios.push(Box::new(produce::Throughput {
                    by_tool: true,
                    clients: 2,
                    ..by_bench
                }));
            }
        }
    }
    scenarios.push(Box::new(produce::ClosedLoop));
    for (record_size, partitions) in [(1024, 16), (1024, 1), (100, 16)] {
        for cold in [false, true] {
            let by_bench = consume::Consume { record_size, partitions, cold, by_tool: false };
            scenarios.push(Box::new(by_bench));
            scenarios.push(Box::new(consume::Consume { by_tool: true, ..by_bench }));
        }
    }
    for (rate, linger_ms) in [
        (end_to_end::Rate::Fixed(1_000), 0),
        (end_to_end::Rate::Fixed(20_000), 5),
        (end_to_end::Rate::Fixed(20_000), 0),
        (end_to_end::Rate::HalfOfMaximum, 5),
    ] {
        scenarios.push(Box::new(end_to_end::EndToEnd { rate, linger_ms }));
    }
    scenarios.push(Box::new(mixed::Mixed));
    scenarios.push(Box::new(partitions::Partitions { count: 1_000 }));
    scenarios.push(Box::new(partitions::Partitions { count: 10_000 }));
    scenarios.push(Box::new(connections::Connections { active: 1_000, idle: 10_000 }));
    scenarios.push(Box::new(start::Start));
    scenarios.push(Box::new(recovery::Recovery));
    for encoding in [Encoding::Json, Encoding::Cbor] {
        scenarios.push(Box::new(kinesis::PutRecords { encoding }));
    }
    scenarios.push(Box::new(kinesis::PutRecord));
    for encoding in [Encoding::Json, Encoding::Cbor] {
        scenarios.push(Box::new(kinesis::GetRecords { encoding }));
    }
    scenarios.push(Box::new(kinesis::SubscribeToShard));
    scenarios
}

/// Those that `names` ask for: by name, by group, or `all`. The error names one that asks for nothing.
pub fn chosen(names: &[String]) -> Result<Vec<Box<dyn Scenario>>, String> {
    let matches = |scenario: &dyn Scenario, name: &String| {
        name == "all" || *name == scenario.name() || scenario.groups().contains(&name.as_str())
    };
    let everything = all();
    if let Some(unknown) =
        names.iter().find(|name| !everything.iter().any(|s| matches(s.as_ref(), name)))
    {
        return Err(format!("there is no scenario {unknown}; `bench scenarios` lists them"));
    }
    Ok(everything
        .into_iter()
        .filter(|s| names.iter().any(|name| matches(s.as_ref(), name)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own() {
        let mut names: Vec<String> = all().iter().map(|scenario| scenario.name()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_group_asks_for_several_and_a_name_for_one() {
        assert_eq!(chosen(&["start".to_owned()]).unwrap().len(), 1);
        assert!(chosen(&["end-to-end".to_owned()]).unwrap().len() > 1);
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let refused = chosen(&["all".to_owned(), "prodcue".to_owned()]).err().unwrap();
        assert!(refused.contains("prodcue"), "{refused}");
    }
}
