//! What runs report, as data (JSON) and as text.

mod attention;
mod classification;
mod device;
mod operation;
mod text;

pub use attention::AttentionReport;
pub use classification::{Answer, Bytes, HeldOut, Seconds, Summary, TextReport};
pub use device::DeviceReport;
pub use operation::OperationReport;
pub use text::{bar, bytes, microseconds, seconds};
