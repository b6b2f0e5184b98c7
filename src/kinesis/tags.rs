//! Tags of streams and of consumers, by AWS's older operations and by its newer ones.

use std::collections::{BTreeMap, BTreeSet};

use state::catalog::{StreamChange, TAGS_MAX};

use crate::{
    Kinesis, answers,
    error::ApiError,
    log::{Log, StreamView},
    requests,
    resource::FoundResource,
    stream::{Caller, named_stream},
    validation::validate,
};

impl<L: Log> Kinesis<L> {
    /// Adds tags to a stream, or gives them other values.
    pub async fn add_tags_to_stream(
        &self,
        caller: &Caller,
        request: requests::AddTagsToStream,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        self.set_tags(caller, FoundResource { stream, consumer: None }, request.tags).await
    }

    /// Removes tags of a stream; those that are not there do not matter.
    pub async fn remove_tags_from_stream(
        &self,
        caller: &Caller,
        request: requests::RemoveTagsFromStream,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        self.remove_tags(caller, FoundResource { stream, consumer: None }, request.tag_keys).await
    }

    /// Lists a stream's tags by key, page by page.
    pub async fn list_tags_for_stream(
        &self,
        caller: &Caller,
        request: requests::ListTagsForStream,
    ) -> Result<answers::ListTagsForStream, ApiError> {
        validate(&request)?;
        let (name, arn) = (request.stream_name.as_deref(), request.stream_arn.as_deref());
        let stream = self.find_stream(caller, &named_stream(caller, name, arn)?).await?;
        let mut tags = listed(&stream.properties.tags);
        if let Some(after) = request.exclusive_start_tag_key {
            tags.retain(|tag| tag.key > after);
        }
        let limit = request.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TAGS_MAX);
        let has_more_tags = tags.len() > limit;
        tags.truncate(limit);
        Ok(answers::ListTagsForStream { tags, has_more_tags })
    }

    /// Adds tags to a stream or a consumer, or gives them other values.
    pub async fn tag_resource(
        &self,
        caller: &Caller,
        request: requests::TagResource,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let arn = request.resource_arn.as_deref().unwrap_or_default();
        let resource = self.find_resource(caller, arn).await?;
        self.set_tags(caller, resource, request.tags).await
    }

    /// Removes tags of a stream or a consumer; those that are not there do not matter.
    pub async fn untag_resource(
        &self,
        caller: &Caller,
        request: requests::UntagResource,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let arn = request.resource_arn.as_deref().unwrap_or_default();
        let resource = self.find_resource(caller, arn).await?;
        self.remove_tags(caller, resource, request.tag_keys).await
    }

    /// Lists all tags of a stream or a consumer.
    pub async fn list_tags_for_resource(
        &self,
        caller: &Caller,
        request: requests::OfResource,
    ) -> Result<answers::ListTagsForResource, ApiError> {
        validate(&request)?;
        let arn = request.resource_arn.as_deref().unwrap_or_default();
        let FoundResource { stream, consumer } = self.find_resource(caller, arn).await?;
        let tags = stream.properties.tags_of(consumer.as_deref());
        let tags = tags.map_err(|error| of_stream(error, &stream, caller))?;
        Ok(answers::ListTagsForResource { tags: listed(tags) })
    }

    async fn set_tags(
        &self,
        caller: &Caller,
        FoundResource { stream, consumer }: FoundResource,
        tags: Option<BTreeMap<String, String>>,
    ) -> Result<(), ApiError> {
        let tags = tags.unwrap_or_default();
        check_tags(&tags)?;
        self.change(caller, &stream, StreamChange::SetTags { consumer, tags }).await
    }

    async fn remove_tags(
        &self,
        caller: &Caller,
        FoundResource { stream, consumer }: FoundResource,
        keys: Option<Vec<String>>,
    ) -> Result<(), ApiError> {
        let keys: BTreeSet<String> = keys.unwrap_or_default().into_iter().collect();
        self.change(caller, &stream, StreamChange::RemoveTags { consumer, keys }).await
    }
}

fn listed(tags: &BTreeMap<String, String>) -> Vec<answers::Tag> {
    let tag =
        |(key, value): (&String, &String)| answers::Tag { key: key.clone(), value: value.clone() };
    tags.iter().map(tag).collect()
}

fn of_stream(error: state::catalog::StreamError, stream: &StreamView, caller: &Caller) -> ApiError {
    ApiError::of_stream(error.into(), stream.name.as_str(), &caller.account)
}

/// Refuses tags with other characters than AWS allows.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let legal = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-%@".contains(c);
    if tags.iter().all(|(key, value)| key.chars().chain(value.chars()).all(legal)) {
        return Ok(());
    }
    Err(ApiError::invalid_argument(
        "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white \
         space, _ . / = + - % @.",
    ))
}
