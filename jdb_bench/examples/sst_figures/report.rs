//! The table that is printed.

/// Rows: what, the goal, reached, lsm-tree, `BTreeMap`.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; 5]>,
}

impl Report {
    /// Adds a row without others.
    pub(crate) fn add(&mut self, what: &str, goal: &str, reached: String) {
        self.compare(what, goal, reached, String::new(), String::new());
    }

    /// Adds a row.
    pub(crate) fn compare(&mut self, what: &str, goal: &str, reached: String, lsm_tree: String, map: String) {
        self.rows.push([what.to_owned(), goal.to_owned(), reached, lsm_tree, map]);
    }

    /// Prints the rows as a table of Markdown.
    pub(crate) fn print(&self) {
        println!("| what | goal | jdb | lsm-tree 3.1.10 | BTreeMap |");
        println!("|---|---|---|---|---|");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}

/// Nanoseconds.
pub(crate) fn ns(value: f64) -> String {
    if value < 100.0 { format!("{value:.1} ns") } else { format!("{value:.0} ns") }
}

/// A ratio.
pub(crate) fn ratio(value: f64) -> String {
    format!("{value:.2}")
}
