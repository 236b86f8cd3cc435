use super::{Failure, ParamsArgs};
pub(super) fn run(_: &ParamsArgs) -> Result<(), Failure> {
    Ok(())
}
