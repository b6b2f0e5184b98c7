//! The life of a broker process: check the host, recover, open the doors, wait for a signal, and
//! take everything down in the opposite order.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use admin::{AdminConfig, AdminServer, Build, LogLevels, Serving};
use aws::{
    AwsConfig, AwsLimits, AwsSecurity, AwsServer, AwsTls, Credentials, CredentialsError, TlsSource,
};
use broker::{BrokerHandle, BrokerSettings, RunningBroker, StorageSettings};
use kafka::{Doors, KafkaConfig, OpenError};
use model::CoreId;
use state::configs::{ConfigError, validate_static};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    configuration::{Certificate, Configuration},
    host,
};

/// The region and account in ARNs, where a request's signature does not say one.
const AWS_REGION: &str = "us-east-1";
const AWS_ACCOUNT_ID: &str = "000000000000";
/// The AWS door has this part of the memory, the broker the rest …
const AWS_MEMORY_DIVISOR: u64 = 8;
/// … but at most this, in bytes.
const AWS_MEMORY_BYTES_MAX: u64 = 256 << 20;
/// Where in the data directory a self-signed certificate is kept.
const AWS_TLS_DIR: &str = "aws-tls";
/// How long the sockets of a broker that was killed just now are waited for.
const PREDECESSOR_LINGERS_MAX: Duration = Duration::from_secs(2);
/// How often they are looked at.
const PREDECESSOR_PAUSE: Duration = Duration::from_millis(5);

/// Why a broker process ended otherwise than by a signal.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A broker configuration is wrong.
    #[error("set: {0}")]
    Set(#[from] ConfigError),
    /// The machine cannot run it.
    #[error(transparent)]
    Host(#[from] runtime::HostError),
    /// Threads or signals could not be had.
    #[error("the operating system refused {what}: {source}")]
    Process {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// It did not start, or did not stop cleanly.
    #[error(transparent)]
    Broker(#[from] broker::StartError),
    /// The Kafka door stays shut.
    #[error(transparent)]
    Kafka(#[from] OpenError),
    /// The AWS door stays shut.
    #[error(transparent)]
    Aws(#[from] aws::ServeError),
    /// Nobody can be told who may use the AWS door.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The door for metrics and health stays shut.
    #[error(transparent)]
    Admin(#[from] admin::ServeError),
    /// A core ended.
    #[error("a core ended during start-up; the log says why")]
    CoreStopped(#[from] runtime::CoreStopped),
}

/// Runs a broker until SIGTERM or Ctrl-C. A second signal does not wait for a clean end.
pub fn run(configuration: Configuration, log: Arc<dyn LogLevels>) -> Result<(), ServeError> {
    validate_static(&configuration.configs)?;
    for warning in runtime::check_host(configuration.cores)? {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("aws")
        .enable_all()
        .build()
        .map_err(|source| ServeError::Process { what: "threads", source })?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let admin = open_admin(configuration.admin_listen, log).await?;
        let Some(process) = start_unless_stopped(configuration, &mut signals).await? else {
            return Ok(());
        };
        if let Some(admin) = &admin {
            admin.note_serving(process.shown());
        }
        let signal = process.reload_until(&mut signals).await;
        tracing::info!("{signal}: stopping; a second one ends the process at once");
        if let Some(admin) = &admin {
            admin.note_stopping();
        }
        tokio::select! {
            stopped = process.stop() => stopped?,
            signal = signals.next() => {
                // What was acknowledged is durable already; the next start replays the journal.
                tracing::warn!("{signal}: not waiting for a clean end");
                std::process::exit(1);
            }
        }
        if let Some(admin) = admin {
            admin.stop().await;
        }
        tracing::info!("stopped");
        Ok(())
    })
}

/// A long recovery can be interrupted: it changes nothing that the next start would miss.
async fn start_unless_stopped(
    configuration: Configuration,
    signals: &mut Signals,
) -> Result<Option<Process>, ServeError> {
    tokio::select! {
        started = Process::start(configuration) => started.map(Some),
        signal = signals.next() => {
            tracing::info!("{signal} during start-up: stopped");
            Ok(None)
        }
    }
}

/// Everything that runs.
struct Process {
    broker: RunningBroker,
    kafka: Doors,
    aws: AwsServer,
    /// Where those stand who may use the AWS door.
    credentials: Option<PathBuf>,
}

impl Process {
    async fn start(configuration: Configuration) -> Result<Process, ServeError> {
        let aws_memory = configuration.memory.bytes / AWS_MEMORY_DIVISOR;
        let aws_memory = aws_memory.min(AWS_MEMORY_BYTES_MAX);
        let kafka_config = KafkaConfig { listen: configuration.kafka_listen };
        let aws_listen = configuration.aws_listen;
        let aws_security = aws_security(&configuration)?;
        let credentials = configuration.credentials.clone();
        let advertised = configuration.advertised.clone();
        let data_dir = configuration.data_dir.clone();

        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            cores = configuration.cores,
            memory = %configuration.memory,
            data = %absolute(&data_dir),
            "thalweg starts"
        );
        let broker = RunningBroker::start(settings(configuration, aws_memory)).await?;
        let recovery = broker.recovery();
        tracing::info!(
            milliseconds = u64::try_from(recovery.took.as_millis()).unwrap_or(u64::MAX),
            commands_replayed = recovery.commands,
            topics = recovery.topics,
            partitions = recovery.partitions,
            "recovered"
        );

        let kafka = match open_kafka(broker.handle(), kafka_config).await {
            Ok(kafka) => kafka,
            Err(error) => return stop_after(broker, error.into()).await,
        };
        let aws = match open_aws(broker.handle(), aws_listen, aws_memory, aws_security).await {
            Ok(aws) => aws,
            Err(error) => {
                kafka.close().await;
                return stop_after(broker, error).await;
            }
        };
        tracing::info!(
            "Kafka clients connect to {} (and are told {}:{})",
            kafka.local_address(),
            advertised.host,
            advertised.port
        );
        tracing::info!("Kinesis clients connect to http://{}", aws.local_address());
        if let Some(address) = aws.tls_address() {
            tracing::info!("Kinesis clients connect with TLS to https://{address}");
        }
        Ok(Process { broker, kafka, aws, credentials })
    }

    /// Reads again what may change while the program runs, as often as it is asked to by SIGHUP;
    /// until a signal asks it to stop.
    async fn reload_until(&self, signals: &mut Signals) -> &'static str {
        loop {
            tokio::select! {
                _ = signals.hang_up.recv() => self.reload(),
                signal = next(&mut signals.terminate, &mut signals.interrupt) => return signal,
            }
        }
    }

    fn reload(&self) {
        match self.credentials.as_deref().map(Credentials::read).transpose() {
            Ok(credentials) => {
                if let Some(credentials) = credentials {
                    self.aws.replace_credentials(credentials);
                }
                tracing::info!("SIGHUP: credentials of the AWS door read again");
            }
            Err(error) => tracing::error!("SIGHUP: {error}; the credentials stay as they were"),
        }
        match self.aws.reload_certificate() {
            Ok(()) => tracing::info!("SIGHUP: certificate of the AWS door read again"),
            Err(error) => tracing::error!("SIGHUP: {error}; the certificate stays as it was"),
        }
    }

    /// What the admin door shows of it.
    fn shown(&self) -> Serving {
        Serving {
            broker: self.broker.handle().clone(),
            recovery: self.broker.recovery(),
            kafka: self.kafka.reader(),
            aws: self.aws.reader(),
        }
    }

    /// Doors first, so that what they took in is answered; then the last checkpoint.
    async fn stop(self) -> Result<(), ServeError> {
        tokio::join!(self.kafka.close(), self.aws.stop());
        self.broker.stop().await?;
        Ok(())
    }
}

/// Stops the broker again, because of `error`.
async fn stop_after(broker: RunningBroker, error: ServeError) -> Result<Process, ServeError> {
    if let Err(stopping) = broker.stop().await {
        tracing::error!("{stopping}");
    }
    Err(error)
}

fn settings(configuration: Configuration, aws_memory_bytes: u64) -> BrokerSettings {
    BrokerSettings {
        data_dir: configuration.data_dir,
        cores: configuration.cores,
        pin_cores: configuration.pin_cores,
        idle_spin_us: configuration.idle_spin_us,
        memory_bytes: configuration.memory.bytes.saturating_sub(aws_memory_bytes),
        advertised_host: configuration.advertised.host,
        advertised_port: configuration.advertised.port,
        configs: configuration.configs,
        storage: StorageSettings::default(),
    }
}

/// Every core binds the address for itself, so the kernel would let another process share it: that
/// nobody else has it is to be asked before. A killed predecessor's listeners outlive it for a
/// moment, while the kernel takes down its io_uring; that is waited for.
async fn open_kafka(broker: &BrokerHandle, config: KafkaConfig) -> Result<Doors, OpenError> {
    let address = config.listen;
    let deadline = Instant::now() + PREDECESSOR_LINGERS_MAX;
    loop {
        match runtime::check_address_unused(address) {
            Ok(()) => return Doors::open(broker, config).await,
            Err(error) if Instant::now() > deadline => {
                return Err(OpenError::Listen { address, error });
            }
            Err(_) => tokio::time::sleep(PREDECESSOR_PAUSE).await,
        }
    }
}

/// Opened before recovery begins, so that one can ask how far it is.
async fn open_admin(
    listen: Option<SocketAddr>,
    log: Arc<dyn LogLevels>,
) -> Result<Option<AdminServer>, ServeError> {
    let Some(listen) = listen else { return Ok(None) };
    let build =
        Build { version: env!("CARGO_PKG_VERSION"), commit: option_env!("THALWEG_BUILD_COMMIT") };
    let admin = admin::serve(AdminConfig { listen, build, log }).await?;
    tracing::info!("metrics and health are at http://{}", admin.local_address());
    Ok(Some(admin))
}

fn aws_security(configuration: &Configuration) -> Result<AwsSecurity, ServeError> {
    let credentials = configuration.credentials.as_deref().map(Credentials::read).transpose()?;
    let directory = configuration.data_dir.join(AWS_TLS_DIR);
    let tls = configuration.aws_tls.clone().map(|tls| AwsTls {
        listen: tls.listen,
        source: match tls.certificate {
            Certificate::Files { certificate, key } => TlsSource::Files { certificate, key },
            Certificate::SelfSigned => {
                let names = host::name().into_iter().chain([tls.host]).collect();
                TlsSource::SelfSigned { directory, names }
            }
        },
    });
    Ok(AwsSecurity { tls, credentials })
}

async fn open_aws(
    broker: &BrokerHandle,
    listen: SocketAddr,
    memory_bytes: u64,
    security: AwsSecurity,
) -> Result<AwsServer, ServeError> {
    let secret = broker
        .call(CoreId(0), |broker: std::rc::Rc<broker::Broker>| async move {
            broker.secret().as_bytes().to_vec()
        })
        .await?;
    let limits = AwsLimits {
        memory_bytes: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
        ..AwsLimits::default()
    };
    let config = AwsConfig {
        listen,
        region: AWS_REGION.to_owned(),
        account_id: AWS_ACCOUNT_ID.to_owned(),
        secret,
        limits,
    };
    Ok(aws::serve_secured(broker.clone(), config, security).await?)
}

/// The path as whoever reads the log can use it from anywhere.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// What asks the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Asks for no end, but to read again what may change.
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Signals, ServeError> {
        let listen = |kind| {
            signal(kind).map_err(|source| ServeError::Process { what: "signal handlers", source })
        };
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        next(&mut self.terminate, &mut self.interrupt).await
    }
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
