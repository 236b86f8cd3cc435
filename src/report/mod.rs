//! What runs report, as data (JSON) and as text.

mod attention;
mod bootstrap;
mod classification;
mod curves;
mod device;
mod matmul;
mod operation;
mod power;
mod text;

pub use attention::{AttentionReport, AttentionRun};
pub use bootstrap::{Bits, BootstrapReport, Moduli, Refined, Successive};
pub use classification::{Answer, Bytes, HeldOut, Seconds, Summary, TextReport};
pub use curves::error_curves;
pub use device::DeviceReport;
pub use matmul::MatmulReport;
pub use operation::OperationReport;
pub use power::PowerAttentionReport;
pub use text::{bar, bytes, microseconds, seconds};
