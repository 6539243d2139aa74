//! What is asked of the process that works on a batch: rows of `requests`, answered in their order.
//!
//! The file is the interface: who wants something of a running batch adds a row, and the executor, which
//! looks a few times a second, writes the answer into it. The bodies are the business of those two.

use batch_core::Time;
use rusqlite::OptionalExtension;

use crate::error::StoreError;
use crate::store::{Store, micros};

/// Something asked and not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRequest {
    /// Its number.
    pub request: i64,
    /// What is asked.
    pub body: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It waits.
    Open,
    /// It was answered.
    Answered(String),
    /// It was taken back, or the executor that it was meant for died before it answered.
    Dropped,
}

impl Store {
    /// Asks something; gives the number of the request.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_request(&mut self, body: &str, now: Time) -> Result<i64, StoreError> {
        self.write(|connection| {
            connection.execute(
                "INSERT INTO requests (made_us, body) VALUES (?1, ?2)",
                (micros(now), body),
            )?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// What was asked after a request and is not answered.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn requests_after(&self, request: i64) -> Result<Vec<StoredRequest>, StoreError> {
        self.read(|file| {
            Ok(file
                .prepare_cached(
                    "SELECT request, body FROM requests
                     WHERE request > ?1 AND done_us IS NULL ORDER BY request",
                )?
                .query_map([request], |row| {
                    Ok(StoredRequest {
                        request: row.get(0)?,
                        body: row.get(1)?,
                    })
                })?
                .collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Answers a request. One that was answered or taken back stays as it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn answer(&mut self, request: i64, reply: &str, now: Time) -> Result<(), StoreError> {
        self.write(|connection| {
            connection
                .prepare_cached(
                    "UPDATE requests SET done_us = ?2, reply = ?3
                     WHERE request = ?1 AND done_us IS NULL",
                )?
                .execute((request, micros(now), reply))?;
            // The answers of a while ago have been read.
            connection
                .prepare_cached("DELETE FROM requests WHERE request <= ?1 - 1000 AND done_us < ?2")?
                .execute((request, micros(now).saturating_sub(3_600_000_000)))
                .map(drop)
        })
    }

    /// What became of a request.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn request_state(&self, request: i64) -> Result<RequestState, StoreError> {
        self.read(|file| {
            let reply: Option<Option<String>> = file
                .prepare_cached("SELECT reply FROM requests WHERE request = ?1")?
                .query_row([request], |row| row.get(0))
                .optional()?;
            Ok(match reply {
                None => RequestState::Dropped,
                Some(None) => RequestState::Open,
                Some(Some(reply)) => RequestState::Answered(reply),
            })
        })
    }

    /// Takes a request back that nobody has answered; whether that was in time.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn take_back(&mut self, request: i64) -> Result<bool, StoreError> {
        self.write(|connection| {
            connection
                .execute(
                    "DELETE FROM requests WHERE request = ?1 AND done_us IS NULL",
                    [request],
                )
                .map(|count| count > 0)
        })
    }
}
