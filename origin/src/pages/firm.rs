//! The page of a person or firm.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use super::section::{Line, Section};
use super::text::{clip, count, date, money, sentence, thousands};
use super::{Frame, HTML, PAGE_BYTES_MAX, html, spend};
use crate::db::Databases;
use crate::documents::{Document, Written};
use crate::error::Error;
use crate::permits::firm::{self, Firm, Id};
use crate::permits::parcel::Parcel;
use crate::purge;
use crate::server::Site;

/// Characters of the name at the top.
const NAME_CHARS_MAX: usize = 120;

/// Bytes of the lists; the rest is the frame.
const SECTIONS_BYTES_MAX: usize = PAGE_BYTES_MAX - 12_000;

#[derive(Template)]
#[template(path = "firm.html")]
struct FirmPage {
    frame: Frame,
    name: String,
    facts: String,
    basis: String,
    sections: Vec<String>,
    json: String,
}

/// `GET /firm/{id}`
pub(crate) async fn firm(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Result<Response, Error> {
    let id = Id::asked(id)?;
    site.documents.answer(&FirmOf { databases: site.databases.clone(), id }).await
}

/// The page of a person or firm.
#[derive(Clone)]
struct FirmOf {
    databases: Databases,
    id: Id,
}

impl Document for FirmOf {
    fn name(&self) -> String {
        format!("/firm/{}", self.id.as_str())
    }

    fn content_type(&self) -> &'static str {
        HTML
    }

    fn tags(&self) -> Vec<String> {
        vec![purge::SEARCH.to_owned()]
    }

    fn is_cheap(&self) -> bool {
        true
    }

    async fn write(&self) -> Result<Written, Error> {
        let firm = firm::find(&self.databases, &self.id).await?;
        Ok(Written::new(html(&FirmPage::of(&firm)?)?))
    }
}

impl FirmPage {
    fn of(firm: &Firm) -> Result<Self, Error> {
        let name = clip(&firm.canonical_name, NAME_CHARS_MAX);
        let other = firm.canonical_firm.as_deref().filter(|other| *other != firm.canonical_name);
        let facts = [
            Some(sentence(&firm.entity_type)),
            other.map(|other| clip(other, NAME_CHARS_MAX)),
            firm.license_number.as_deref().map(|number| format!("license {number}")),
            Some(count(firm.permit_count.into(), "permit")),
        ];
        let told = match firm.resolution_method.as_str() {
            "pts_agent_id" => "the city’s number of the agent",
            "license_number" => "the license",
            "sf_business_license" => "the business license",
            "singleton" => "nothing: there is one entry",
            _ => "the name alone, so different people of one name may be mixed",
        };
        let basis = format!(
            "Put together from {} by {told}.",
            count(firm.contact_count.into(), "entry").replace("entrys", "entries")
        );
        let permits = firm.permits.iter().map(|permit| {
            let parts = [
                permit.filed_date.map(|day| format!("filed {}", date(day))),
                permit.estimated_cost.map(money),
                permit.description.clone(),
            ];
            let address = permit.address();
            let head = format!("{} {}", permit.permit_number, address);
            let line = Line::new(&head, &parts.into_iter().flatten().collect::<Vec<_>>().join(" · "));
            let line = line.chip(permit.status.as_deref().unwrap_or_default(), false);
            let parcel = permit.block.as_deref().zip(permit.lot.as_deref());
            match parcel.and_then(|(block, lot)| Parcel::parse(block, lot).ok()) {
                Some(parcel) => line.to(parcel.path()),
                None => line,
            }
        });
        let associates = firm.associates.iter().map(|member| {
            let text = format!(
                "{}, {} together, {} in all",
                member.entity_type,
                count(member.permits_here.unwrap_or(0), "permit"),
                thousands(member.permit_count.unwrap_or(0).into())
            );
            Line::new(&member.canonical_name, &text).to(format!("/firm/{}", member.entity_id))
        });
        let sections = [
            Section::of("permits", "Newest permits", "", permits),
            Section::of("associates", "Works with", "", associates),
        ];
        Ok(Self {
            frame: Frame::new(name.clone()),
            facts: facts.into_iter().flatten().collect::<Vec<_>>().join(" · "),
            basis,
            sections: spend(SECTIONS_BYTES_MAX, sections.into_iter().flatten())?,
            json: format!("/api/v1/firm/{}", firm.entity_id),
            name,
        })
    }
}
