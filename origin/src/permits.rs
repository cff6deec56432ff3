//! Search and the property report.
