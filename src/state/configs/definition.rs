//! What one setting is.

/// A setting's type, as DescribeConfigs tells it (`DescribeConfigsResponse.ConfigType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A number of 32 bits.
    Int,
    /// A number of 64 bits.
    Long,
    /// A number with a fraction.
    Double,
    /// Texts, separated by commas.
    List,
}

impl ConfigType {
    /// The number that stands for it in Kafka's protocol.
    pub fn code(self) -> i8 {
        match self {
            ConfigType::Boolean => 1,
            ConfigType::String => 2,
            ConfigType::Int => 3,
            ConfigType::Long => 5,
            ConfigType::Double => 6,
            ConfigType::List => 7,
        }
    }

    /// Kafka's word for it.
    pub fn name(self) -> &'static str {
        match self {
            ConfigType::Boolean => "BOOLEAN",
            ConfigType::String => "STRING",
            ConfigType::Int => "INT",
            ConfigType::Long => "LONG",
            ConfigType::Double => "DOUBLE",
            ConfigType::List => "LIST",
        }
    }
}

/// How much a setting matters, in Kafka's own judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Look at it before going to production.
    High,
    /// Look at it when tuning.
    Medium,
    /// Rarely changed.
    Low,
}

/// What values a setting takes, beyond its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bounds {
    /// Any of the type.
    Any,
    /// A number from here on.
    AtLeast(i64),
    /// A number in a range, ends included.
    Between(i64, i64),
    /// A number in a range, or one other.
    BetweenOr(i64, i64, i64),
    /// A fraction from 0 to 1.
    Ratio,
    /// One of these words, or a list of them.
    OneOf(&'static [&'static str]),
    /// `*`, or `partition:broker` pairs.
    ThrottledReplicas,
}

/// A broker setting from which a topic setting takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    /// The broker setting's name.
    pub name: &'static str,
    /// What its value is multiplied by: minutes and hours become milliseconds.
    pub factor: i64,
}

/// Who may change a broker setting while it runs (Kafka's `DynamicBrokerConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dynamic {
    /// Nobody: it is read at start.
    ReadOnly,
    /// It can be altered for one broker only.
    PerBroker,
    /// It can be altered for one broker and as the default of all.
    ClusterWide,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfigDefinition {
    /// Kafka's name.
    pub name: &'static str,
    /// Its type.
    pub kind: ConfigType,
    /// Its default; `None` is null.
    pub default: Option<&'static str>,
    /// What values it takes.
    pub bounds: Bounds,
    /// How much it matters.
    pub importance: Importance,
    /// The broker settings that a topic setting falls back to, the strongest first.
    pub synonyms: &'static [Synonym],
    /// Whether this broker does what it says. If not, only the default is accepted.
    pub acts: bool,
    /// Who may change it while the broker runs.
    pub dynamic: Dynamic,
    /// What it does.
    pub documentation: &'static str,
}
