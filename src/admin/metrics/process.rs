//! What any process shows, under the names that all Prometheus clients use, and what was built.

use prometheus::{core::Collector, process_collector::ProcessCollector};

use crate::config::Build;

use super::page::Page;

pub(crate) fn show(page: &mut Page, build: Build) {
    page.gauge("thalweg_build_info", "What runs; always 1.", |family| {
        let commit = build.commit.unwrap_or("unknown");
        family.sample(&[("version", build.version), ("commit", commit)], true);
    });
    page.extend(ProcessCollector::for_self().collect());
}
