//! Resource policies of streams and of consumers: kept and shown. Nobody enforces them yet.

use broker::BrokerError;
use state::catalog::{StreamChange, StreamError};

use crate::{
    Kinesis, answers,
    error::{ApiError, ErrorKind},
    log::Log,
    requests,
    resource::FoundResource,
    stream::Caller,
    validation::validate,
};

/// The longest policy, in bytes, as AWS bounds those of its resources.
const POLICY_BYTES_MAX: usize = 20 << 10;

impl<L: Log> Kinesis<L> {
    /// Keeps a policy, in the place of the one before.
    pub async fn put_resource_policy(
        &self,
        caller: &Caller,
        request: requests::PutResourcePolicy,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let policy = request.policy.unwrap_or_default();
        check_policy(&policy)?;
        let arn = request.resource_arn.as_deref().unwrap_or_default();
        let FoundResource { stream, consumer } = self.find_resource(caller, arn).await?;
        self.change(caller, &stream, StreamChange::SetPolicy { consumer, policy }).await
    }

    /// Shows the policy, `{}` if there is none.
    pub async fn get_resource_policy(
        &self,
        caller: &Caller,
        request: requests::OfResource,
    ) -> Result<answers::GetResourcePolicy, ApiError> {
        validate(&request)?;
        let arn = request.resource_arn.as_deref().unwrap_or_default();
        let FoundResource { stream, consumer } = self.find_resource(caller, arn).await?;
        let policy = stream.properties.policy_of(consumer.as_deref()).ok().flatten();
        Ok(answers::GetResourcePolicy { policy: policy.unwrap_or("{}").to_owned() })
    }

    /// Forgets the policy.
    pub async fn delete_resource_policy(
        &self,
        caller: &Caller,
        request: requests::OfResource,
    ) -> Result<(), ApiError> {
        validate(&request)?;
        let arn = request.resource_arn.as_deref().unwrap_or_default();
        let FoundResource { stream, consumer } = self.find_resource(caller, arn).await?;
        let removed = self.log.change(stream.id, StreamChange::RemovePolicy { consumer }).await;
        removed.map_err(|error| match error {
            BrokerError::Stream(StreamError::NoPolicy) => {
                let message = format!("No resource policy found for resource ARN {arn}.");
                ApiError::new(ErrorKind::ResourceNotFound, message)
            }
            error => ApiError::of_stream(error, stream.name.as_str(), &caller.account),
        })
    }
}

/// A policy is a JSON object that is not too long. What it says is not looked at.
fn check_policy(policy: &str) -> Result<(), ApiError> {
    if policy.len() > POLICY_BYTES_MAX {
        let message = format!(
            "The resource policy has {} bytes; the limit is {POLICY_BYTES_MAX}.",
            policy.len()
        );
        return Err(ApiError::new(ErrorKind::LimitExceeded, message));
    }
    match serde_json::from_str(policy) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        _ => Err(ApiError::invalid_argument("The resource policy is not a JSON object.")),
    }
}
