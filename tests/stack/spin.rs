use anyhow::Result;
use seawall_scenarios::Platform;

use crate::scenarios::play_all;
use crate::support::Edge;

#[tokio::test]
async fn every_scenario_passes_on_spin() -> Result<()> {
    play_all(Platform::Spin, Edge::on_spin).await
}
