//! `/metrics`: asks every core once, adds up, and names what it got.

mod aws_door;
mod cores;
mod kafka_door;
mod page;
mod process;
mod topics;

use broker::{BrokerHandle, CoreCounts};
use model::CoreId;
use tokio::{sync::Mutex, time::timeout};

use crate::{
    config::Build,
    readiness::{ANSWER_TIME_MAX, NotReady, Phase, ask_all},
};

use page::Page;
use topics::{Line, TopicPlaces};

/// The content type of Prometheus' text format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is remembered from page to page.
pub(crate) struct MetricsPages {
    build: Build,
    topics: Mutex<TopicPlaces>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPage {
    #[error("{0}")]
    NotReady(NotReady),
    #[error("the page could not be written: {0}")]
    Encode(#[from] prometheus::Error),
}

impl MetricsPages {
    pub fn new(build: Build) -> MetricsPages {
        MetricsPages { build, topics: Mutex::default() }
    }

    /// The page as of now. Before recovery is done, and while the program stops, it tells of the
    /// process alone.
    pub async fn render(&self, phase: &Phase) -> Result<String, NoPage> {
        let mut page = Page::default();
        process::show(&mut page, self.build);
        let serving = phase.serving().ok();
        page.gauge(
            "thalweg_serving",
            "1 once recovery is done and the doors are open, until the program stops.",
            |family| family.sample(&[], serving.is_some()),
        );
        if let Some(serving) = serving {
            let cores = ask_all(&serving.broker, |broker| broker.counts()).await;
            let cores: Vec<_> =
                cores.map_err(NoPage::NotReady)?.into_iter().map(|(_, counts)| counts).collect();
            let doors = timeout(ANSWER_TIME_MAX, serving.kafka.read()).await;
            let doors = doors.map_err(|_| NoPage::NotReady(NotReady::DoorSilent))?;
            let doors = doors.map_err(|_| NoPage::NotReady(NotReady::Stopping))?;
            let lines = self.topic_lines(&serving.broker, &cores).await?;
            cores::show_recovery(&mut page, serving.recovery);
            cores::show_topics(&mut page, &lines);
            cores::show(&mut page, &cores);
            kafka_door::show(&mut page, &doors);
            aws_door::show(&mut page, &serving.aws.read());
        }
        Ok(page.encode()?)
    }

    /// The lines by topic. The catalog is asked for a name once.
    async fn topic_lines(
        &self,
        broker: &BrokerHandle,
        cores: &[CoreCounts],
    ) -> Result<Vec<Line>, NoPage> {
        // Held while the catalog is asked: two pages at a time would remember by turns.
        let mut topics = self.topics.lock().await;
        let unnamed = topics.update(cores);
        if !unnamed.is_empty() {
            let ids = unnamed.clone();
            let asked =
                broker.call(CoreId(0), move |broker| async move { broker.topic_names(&ids) });
            let names = timeout(ANSWER_TIME_MAX, asked).await;
            let names = names.map_err(|_| NoPage::NotReady(NotReady::Silent(CoreId(0))))?;
            let names = names.map_err(|_| NoPage::NotReady(NotReady::Stopped(CoreId(0))))?;
            for (id, name) in unnamed.into_iter().zip(names) {
                if let Some(name) = name {
                    topics.set_name(id, name);
                }
            }
        }
        Ok(topics.lines())
    }
}
