//! The example behind `howdah serve`: PHP 8.4, Laravel 10, `MariaDB`.

use std::time::Duration;

use crate::Scene;
use crate::support::wait_for;

#[test]
fn persistent_workers_answer_and_an_invoice_is_mailed() {
    let scene = Scene::served("e2e-served");
    let project = &scene.project;
    project.howdah(&[
        "build",
        "--target",
        "test",
        "-f",
        "docker/app/Dockerfile",
        ".",
    ]);
    project.howdah(&["up", "-d"]);
    assert_eq!(project.web("/up", &[]), "up");
    let log = project.howdah(&["logs", "app"]);
    assert!(log.contains("Howdah's own worker script"), "{log}");
    assert!(!log.contains("did not boot"), "{log}");
    let health = project.web("/health", &[]);
    assert!(
        health.contains("\"database\":true") && health.contains("\"redis\":true"),
        "{health}"
    );

    // More pages than workers: each has answered several.
    for number in 0..20 {
        let page = project.create_invoice(&format!("Howdah-{number}"));
        assert!(page.contains(&format!("Howdah-{number}")), "{page}");
    }
    wait_for("the invoices' mails", Duration::from_mins(1), || {
        (project
            .mails()
            .matches("\"subject\":\"Invoice INV-")
            .count()
            >= 20)
            .then_some(())
    });
    let user = project.exec("app", &["id", "-u"]);
    assert_eq!(user.trim(), "1000");

    project.howdah(&["stop", "app"]);
    let ended = project.howdah(&["ps", "-a", "app"]);
    assert!(ended.contains("Exited (0)"), "{ended}");
}
