//! What every view needs to know besides its model.

use berth_core::ports::pages::Language;
use jiff::Timestamp;

/// The reader's language and the time of the page. Views are functions of a model and this.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Language.
    pub lang: Language,
    /// When the page is made: what relative times are relative to.
    pub now: Timestamp,
}
