//! The health of one container: when to check, and what the results mean.
//!
//! As Docker's engine has it (`moby/daemon/health.go`), with one difference: until the first check succeeds, checks come early
//! and ever more slowly (up to `start_interval`) instead of after a whole interval, so that a service is known to be healthy as
//! soon as it is. Failures of these early checks do not count before Docker would have checked for the first time, and at that
//! moment there is a check, too: nothing is known later than with Docker.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Millis;
use crate::model::HealthcheckSection;

/// The pause before the first early check; each further one doubles.
const EARLIEST: Duration = Duration::from_millis(100);
/// How much of a check's output is kept, as Docker does.
pub(crate) const MOST_OUTPUT: usize = 4096;

/// A health check with all its times decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPlan {
    /// The command: `CMD` or `CMD-SHELL` and what follows.
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: Duration,
    /// The longest a check may take.
    pub timeout: Duration,
    /// Failures in a row that make the container unhealthy.
    pub retries: u32,
    /// Time in which failures do not count.
    pub start_period: Duration,
    /// Time between two checks during the start period.
    pub start_interval: Duration,
}

impl HealthPlan {
    /// The service's section over the image's `HEALTHCHECK`, over Docker's defaults; none when there is no check.
    pub fn decide(
        section: Option<&HealthcheckSection>,
        image: Option<&howdah_image::Healthcheck>,
    ) -> Option<Self> {
        let empty = HealthcheckSection::default();
        let section = section.unwrap_or(&empty);
        let test = section
            .test
            .clone()
            .or_else(|| image.map(|image| image.test.clone()))?;
        if section.disable || test.is_empty() || test[0] == "NONE" {
            return None;
        }
        // The image's times go with the image's test, and with a test of the service that does not say them.
        let pick = |own: Option<Duration>, image: Option<Duration>, default: u64| {
            own.or(image)
                .filter(|time| !time.is_zero())
                .unwrap_or(Duration::from_secs(default))
        };
        Some(Self {
            test,
            interval: pick(section.interval, image.and_then(|image| image.interval), 30),
            timeout: pick(section.timeout, image.and_then(|image| image.timeout), 30),
            retries: section
                .retries
                .or(image.and_then(|image| image.retries))
                .filter(|count| *count > 0)
                .unwrap_or(3),
            start_period: pick(
                section.start_period,
                image.and_then(|image| image.start_period),
                0,
            ),
            start_interval: pick(
                section.start_interval,
                image.and_then(|image| image.start_interval),
                5,
            ),
        })
    }
}

/// What is known of a container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// No check has succeeded, nor enough failed.
    Starting,
    /// The last check succeeded, or too few failed since.
    Healthy,
    /// Too many checks failed in a row.
    Unhealthy,
}

/// The health of one run of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Failures in a row that counted.
    pub failing: u32,
    /// Early checks made so far. Not written down, like all below: it would make every check a write.
    #[serde(skip)]
    early: u32,
    /// When the next check is due; none while one runs.
    #[serde(skip)]
    next: Option<Millis>,
    /// The end of the last check's output.
    #[serde(skip)]
    pub output: String,
}

/// How a check went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Exit code 0 within the timeout.
    pub passed: bool,
    /// The end of its output, or why it could not run.
    pub output: String,
}

impl Health {
    /// Of a container that has just been started.
    pub fn new(started: Millis) -> Self {
        Self {
            status: HealthStatus::Starting,
            failing: 0,
            early: 0,
            next: Some(started.after(EARLIEST)),
            output: String::new(),
        }
    }

    /// When a check is due.
    pub fn due(&self) -> Option<Millis> {
        self.next
    }

    /// Notes that a check was started.
    pub fn begin(&mut self) {
        self.next = None;
    }

    /// Makes a check due that was under way when the keeper died.
    pub(crate) fn resume(&mut self, now: Millis) {
        self.next.get_or_insert(now);
    }

    /// Takes a check's result into account.
    pub fn finish(&mut self, plan: &HealthPlan, probe: Probe, started: Millis, now: Millis) {
        self.output = probe.output;
        let in_start_period = now < started.after(plan.start_period);
        let is_early = now < started.after(plan.interval) || in_start_period;
        if probe.passed {
            self.status = HealthStatus::Healthy;
            self.failing = 0;
        } else if self.status != HealthStatus::Starting || !is_early {
            self.failing += 1;
            if self.failing >= plan.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        let next = if self.status == HealthStatus::Starting && is_early {
            let doubled = EARLIEST.saturating_mul(1 << self.early.min(16));
            self.early += 1;
            let early = now.after(doubled.min(plan.start_interval).min(plan.interval));
            let dockers_first = started.after(plan.interval);
            if now < dockers_first {
                early.min(dockers_first)
            } else {
                early
            }
        } else {
            now.after(plan.interval)
        };
        self.next = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> HealthPlan {
        HealthPlan {
            test: vec!["CMD".into(), "true".into()],
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            retries: 3,
            start_period: Duration::ZERO,
            start_interval: Duration::from_secs(5),
        }
    }

    /// Runs checks as they fall due; `passes` decides by the seconds since the start. Gives `second:status` at each change.
    fn timeline(plan: &HealthPlan, until: u64, passes: impl Fn(u64) -> bool) -> Vec<String> {
        let started = Millis(1_000_000);
        let mut health = Health::new(started);
        let mut changes = Vec::new();
        while let Some(now) = health
            .due()
            .filter(|due| *due < Millis(started.0 + until * 1000))
        {
            let before = health.status;
            health.begin();
            let second = now.since(started).as_secs();
            health.finish(
                plan,
                Probe {
                    passed: passes(second),
                    output: String::new(),
                },
                started,
                now,
            );
            if health.status != before {
                changes.push(format!("{second}:{:?}", health.status));
            }
        }
        changes
    }

    #[test]
    fn healthy_at_once_and_not_an_interval_later() {
        assert_eq!(timeline(&plan(), 60, |_| true), ["0:Healthy"]);
        assert_eq!(timeline(&plan(), 60, |second| second >= 2), ["3:Healthy"]);
        let slow = HealthPlan {
            interval: Duration::from_secs(30),
            ..plan()
        };
        assert_eq!(timeline(&slow, 60, |second| second >= 29), ["30:Healthy"]);
    }

    #[test]
    fn unhealthy_after_the_retries_and_no_earlier_than_docker() {
        // Docker checks at 10, 20 and 30; the early checks before 10 do not count.
        let changes = timeline(&plan(), 120, |_| false);
        assert_eq!(changes.len(), 1);
        let second: u64 = changes[0].split(':').next().unwrap().parse().unwrap();
        assert!((30..=36).contains(&second), "{changes:?}");
    }

    #[test]
    fn one_failure_is_forgiven_and_recovery_is_seen() {
        assert_eq!(timeline(&plan(), 100, |second| second != 20), ["0:Healthy"]);
        let changes = timeline(&plan(), 200, |second| !(20..90).contains(&second));
        assert!(
            changes[1].ends_with("Unhealthy") && changes[2].ends_with("Healthy"),
            "{changes:?}"
        );
    }

    #[test]
    fn failures_in_the_start_period_do_not_count() {
        let plan = HealthPlan {
            start_period: Duration::from_secs(100),
            ..plan()
        };
        assert_eq!(timeline(&plan, 99, |_| false), [""; 0]);
        assert!(timeline(&plan, 200, |_| false)[0].ends_with("Unhealthy"));
    }

    #[test]
    fn the_service_wins_over_the_image_and_none_disables() {
        let image = howdah_image::Healthcheck {
            test: vec!["CMD".into(), "image".into()],
            interval: Some(Duration::from_secs(7)),
            ..Default::default()
        };
        let decided = HealthPlan::decide(None, Some(&image)).unwrap();
        assert_eq!(
            (decided.test[1].as_str(), decided.interval, decided.retries),
            ("image", Duration::from_secs(7), 3)
        );
        let section = HealthcheckSection {
            retries: Some(5),
            ..Default::default()
        };
        assert_eq!(
            HealthPlan::decide(Some(&section), Some(&image))
                .unwrap()
                .retries,
            5
        );
        let section = HealthcheckSection {
            disable: true,
            ..Default::default()
        };
        assert_eq!(HealthPlan::decide(Some(&section), Some(&image)), None);
        assert_eq!(HealthPlan::decide(None, None), None);
    }
}
