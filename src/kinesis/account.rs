//! DescribeAccountSettings, UpdateAccountSettings. There is one account, and nothing is billed: the
//! commitment to a minimum of throughput is what AWS asks for before a warm throughput.

use crate::{
    Kinesis, answers, error::ApiError, log::Log, requests, stream::Caller, validation::validate,
    wire::Time,
};

impl<L: Log> Kinesis<L> {
    /// Tells the account's settings.
    pub async fn describe_account_settings(
        &self,
        _caller: &Caller,
        _request: requests::OfAccount,
    ) -> Result<answers::AccountSettings, ApiError> {
        let commitment = self.log.account().await?.settings.throughput_commitment;
        Ok(answers::AccountSettings {
            minimum_throughput_billing_commitment: answers::ThroughputCommitment {
                status: if commitment.is_enabled { "ENABLED" } else { "DISABLED" },
                started_at: commitment.started.map(Time),
                ended_at: commitment.ended.map(Time),
            },
        })
    }

    /// Changes the account's settings.
    pub async fn update_account_settings(
        &self,
        caller: &Caller,
        request: requests::UpdateAccountSettings,
    ) -> Result<answers::AccountSettings, ApiError> {
        validate(&request)?;
        let commitment = request.minimum_throughput_billing_commitment;
        let status = commitment.and_then(|commitment| commitment.status);
        self.log.commit_throughput(status.as_deref() == Some("ENABLED")).await?;
        self.describe_account_settings(caller, requests::OfAccount {}).await
    }
}
