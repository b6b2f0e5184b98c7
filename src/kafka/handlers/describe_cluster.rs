//! DescribeCluster (KIP-700): the one broker, which is also the controller.

use kafka_protocol::{
    ResponseError,
    messages::{
        BrokerId, DescribeClusterRequest, DescribeClusterResponse,
        describe_cluster_response::DescribeClusterBroker,
    },
    protocol::StrBytes,
};

use crate::{
    apis::Api,
    authorized_operations,
    errors::Refusal,
    guard::{self, Field},
    request::{Reply, ReplyFuture, Request},
};

/// The API's row.
pub const API: Api = Api {
    key: 60,
    name: "DescribeCluster",
    advertised_min: 0,
    served_min: 0,
    version_max: 2,
    flexible_since: 0,
    body: Some(BODY),
    pipelined: false,
    serve: |request| Box::pin(std::future::ready(answer(request))) as ReplyFuture,
};

const BODY: &[Field] = &[guard::INT8, guard::INT8.since(1), guard::INT8.since(2)];

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

fn answer(mut request: Request) -> Reply {
    let version = request.version();
    let message: DescribeClusterRequest = match request.decode() {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    let reply_to = request.reply_to();
    let mut response = DescribeClusterResponse::default();
    if let Err(refusal) = check_endpoint(message.endpoint_type) {
        response.error_code = refusal.code;
        response.error_message = refusal.text();
        return reply_to.send(&response);
    }
    if version >= 1 {
        response.endpoint_type = BROKERS;
    }
    let broker = &request.broker;
    let settings = broker.settings();
    response.cluster_id = StrBytes::from_string(broker.cluster_id().to_owned());
    response.controller_id = BrokerId(broker.node_id());
    response.brokers = vec![
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(broker.node_id()))
            .with_host(StrBytes::from_string(settings.advertised_host.clone()))
            .with_port(i32::from(settings.advertised_port)),
    ];
    if message.include_cluster_authorized_operations {
        response.cluster_authorized_operations = authorized_operations::CLUSTER;
    }
    reply_to.send(&response)
}

/// A broker's listener answers for brokers only.
fn check_endpoint(endpoint_type: i8) -> Result<(), Refusal> {
    match endpoint_type {
        BROKERS => Ok(()),
        CONTROLLERS => Err(Refusal::new(
            ResponseError::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
        )),
        other => Err(Refusal::new(
            ResponseError::UnsupportedEndpointType,
            format!("Unsupported endpoint type {other}"),
        )),
    }
}
