//! Settings of topics and of the broker: listing and changing them.

use std::rc::Rc;

use state::configs::{ConfigEntry, Overrides};

use crate::{
    Broker, BrokerError, ConfigChange, ConfigResource, Outcome,
    catalog_change::CATALOG_CORE,
    topics::{catalog_error, find_by_name},
};

impl Broker {
    /// Lists the settings of a resource; all of them, or those named.
    pub fn describe_configs(
        &self,
        resource: &ConfigResource,
        keys: Option<&[String]>,
    ) -> Outcome<Vec<ConfigEntry>> {
        let catalog = self.catalog.borrow();
        let mut entries = match resource {
            ConfigResource::Topic(name) => {
                crate::topics::check_name(name)?;
                catalog.topic_entries(find_by_name(&catalog, name)?)
            }
            ConfigResource::Broker(name) => {
                self.check_broker(name)?;
                catalog.broker_entries()
            }
            ConfigResource::BrokerDefault => catalog.broker_default_entries(),
        };
        if let Some(keys) = keys {
            entries.retain(|entry| keys.contains(&entry.name));
        }
        Ok(entries)
    }

    fn check_broker(&self, name: &str) -> Outcome<i32> {
        let node_id = self.node_id();
        match name.parse::<i32>() {
            Ok(id) if id == node_id => Ok(id),
            _ => Err(BrokerError::InvalidRequest(format!(
                "Unexpected broker id, expected {node_id} or empty string, but received {name}"
            ))),
        }
    }

    /// Changes settings of a resource, all or none, or only says whether it would. With
    /// `replace_all` (AlterConfigs) what is not named goes back to its default.
    pub async fn alter_configs(
        self: &Rc<Self>,
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
        replace_all: bool,
        validate_only: bool,
    ) -> Outcome<()> {
        self.cores
            .call(CATALOG_CORE, move |broker: Rc<Broker>| async move {
                broker.alter_configs_here(resource, changes, replace_all, validate_only).await
            })
            .await?
    }

    async fn alter_configs_here(
        self: &Rc<Self>,
        resource: ConfigResource,
        changes: Vec<ConfigChange>,
        replace_all: bool,
        validate_only: bool,
    ) -> Outcome<()> {
        let plan = |catalog: &state::Catalog| {
            let planned = match &resource {
                ConfigResource::Topic(name) => {
                    crate::topics::check_name(name)?;
                    let topic = find_by_name(catalog, name)?;
                    catalog.plan_topic_configs(topic, &changes, replace_all)
                }
                ConfigResource::Broker(name) => {
                    let id = self.check_broker(name)?;
                    catalog.plan_broker_configs(Some(id), &changes, replace_all)
                }
                ConfigResource::BrokerDefault => {
                    catalog.plan_broker_configs(None, &changes, replace_all)
                }
            };
            planned.map_err(catalog_error)
        };
        if validate_only {
            let planned = plan(&self.catalog.borrow());
            return planned.map(drop);
        }
        self.change_catalog(plan).await.map(drop)
    }

    /// Puts the settings that the program was started with into this core's replica.
    pub(crate) fn apply_static_configs(&self) {
        let configs: Overrides = self.settings.configs.clone();
        self.catalog.borrow_mut().set_static_configs(self.node_id(), configs);
    }
}
