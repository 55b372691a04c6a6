//! The hub: what `accord up` runs.

mod listen;
mod tls;

use crate::state::UpOptions;

/// Runs the hub until it is told to stop.
pub async fn run(options: UpOptions) -> anyhow::Result<()> {
    anyhow::bail!("the hub for {} cannot run yet", options.state.label())
}
