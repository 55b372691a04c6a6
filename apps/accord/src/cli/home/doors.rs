//! What a device was told that opens, unlocks or loses something, from the ledger, with what it said of doors and locks itself.

use accord_model::{Data, Timestamp};
use anyhow::Result;
use serde::Serialize;

use super::history::{course, described};
use crate::api::home::HistorySeries;
use crate::api::types::Device;
use crate::cli::Context;
use crate::cli::desk::{Desk, Wanted};
use crate::cli::screen::{Cell, moment};

/// Most that is shown, the newest.
const MOST: usize = 20;
/// What is worth a line each time that it changes.
const DOORS: [(&str, &str); 3] = [("door-lock", "locked"), ("contact", "open"), ("valve", "open")];

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum By {
    /// It was told so: the ledger has it.
    Told,
    /// It said so.
    Said,
}

/// One thing that happened at a device.
#[derive(Serialize)]
pub struct Moment {
    at: Timestamp,
    by: By,
    what: String,
    /// The ledger's record of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<u64>,
}

/// What happened in a range of time, oldest first.
pub async fn moments(
    context: &Context,
    device: &Device,
    kept: &[HistorySeries],
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Moment>> {
    let mut moments = Vec::new();
    let desk = Desk::Hub(context.hub.clone());
    let mut faces: Vec<&str> = device.faces.iter().map(|face| face.id.as_str()).collect();
    if !faces.contains(&device.id.as_str()) {
        faces.push(&device.id);
    }
    for face in faces {
        let search = Some(format!("\"subject\":\"{face}\""));
        let wanted = Wanted { search, kind: Some("sent".to_owned()), limit: MOST, ..Wanted::default() };
        for record in desk.records(&wanted).await?.records {
            let what = record.message.unwrap_or_default();
            moments.push(Moment { at: record.time, by: By::Told, what, record: Some(record.seq) });
        }
    }
    for series in kept {
        let place = (series.service.as_str(), series.property.as_str());
        if !DOORS.contains(&place) {
            continue;
        }
        let property = described(device, series);
        let label = device.services.iter().find(|one| one.id == series.service && one.instance == series.instance);
        let label = label.and_then(|service| service.label.as_deref()).map(crate::cli::screen::name);
        let of = label.map(|label| format!("{label}: ")).unwrap_or_default();
        let mut before = None;
        for point in course(context, series, (from, to), Some(0)).await?.points {
            let is = point.mean > 0.5;
            if before.replace(is) != Some(is) {
                let what = format!("{of}{}", accord_home::say::value(&property, &Data::Bool(is)));
                moments.push(Moment { at: point.time, by: By::Said, what, record: None });
            }
        }
    }
    moments.retain(|moment| (from..=to).contains(&moment.at));
    moments.sort_by_key(|moment| moment.at);
    moments.drain(..moments.len().saturating_sub(MOST));
    Ok(moments)
}

pub fn table(context: &Context, moments: &[Moment]) {
    let row = |one: &Moment| {
        let what = match one.by {
            By::Told => accord_model::text::for_screen(&one.what, 160),
            By::Said => format!("It said: {}", one.what),
        };
        vec![Cell::new(moment(one.at)), Cell::new(what)]
    };
    if !moments.is_empty() {
        context.screen.table(&["AT", "WHAT HAPPENED"], moments.iter().map(row).collect());
    }
}
