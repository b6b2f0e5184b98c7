//! Settings of topics, of the broker and of groups: listing and changing them.

use std::rc::Rc;

use state::{
    configs::{ConfigEntry, Overrides},
    groups::GroupsCommand,
};

use crate::{
    Broker, BrokerError, ConfigChange, ConfigResource, Outcome,
    catalog_change::CATALOG_CORE,
    group_admin::propose,
    topics::{catalog_error, find_by_name},
};

impl Broker {
    /// Lists the settings of a resource; all of them, or those named.
    pub async fn describe_configs(
        self: &Rc<Self>,
        resource: &ConfigResource,
        keys: Option<&[String]>,
    ) -> Outcome<Vec<ConfigEntry>> {
        let mut entries = match resource {
            ConfigResource::Topic(name) => {
                crate::topics::check_name(name)?;
                let catalog = self.catalog.borrow();
                catalog.topic_entries(find_by_name(&catalog, name)?)
            }
            ConfigResource::Broker(name) => {
                self.check_broker(name)?;
                self.catalog.borrow().broker_entries()
            }
            ConfigResource::BrokerDefault => self.catalog.borrow().broker_default_entries(),
            ConfigResource::Group(name) => {
                let own = self.group_overrides(name).await?;
                self.catalog.borrow().group_entries(&own)
            }
        };
        if let Some(keys) = keys {
            entries.retain(|entry| keys.contains(&entry.name));
        }
        Ok(entries)
    }

    async fn group_overrides(self: &Rc<Self>, group: &str) -> Outcome<Overrides> {
        let name = group.to_owned();
        self.at_group(group, |_, lane| async move { Ok(lane.groups().configs(&name)) }).await
    }

    /// Changes settings of a group, where it lives.
    async fn alter_group_configs(
        self: &Rc<Self>,
        group: &str,
        changes: Vec<ConfigChange>,
        replace_all: bool,
        validate_only: bool,
    ) -> Outcome<()> {
        let name = group.to_owned();
        self.at_group(group, move |owner, lane| async move {
            let current = lane.groups().configs(&name);
            let planned =
                owner.catalog.borrow().plan_group_configs(&current, &changes, replace_all);
            let change = planned.map_err(catalog_error)?;
            if validate_only || change.is_empty() {
                return Ok(());
            }
            propose(&lane, GroupsCommand::AlterConfigs { group: name, change }).await
        })
        .await
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
        if let ConfigResource::Group(name) = &resource {
            return self.alter_group_configs(name, changes, replace_all, validate_only).await;
        }
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
                ConfigResource::Group(_) => {
                    let text = "The settings of groups are no part of the catalog.";
                    return Err(BrokerError::InvalidRequest(text.to_owned()));
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
