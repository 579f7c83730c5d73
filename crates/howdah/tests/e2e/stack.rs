//! The stack runs, sends its mail, and keeps or drops its volumes as told.

use std::time::Duration;

use crate::Scene;
use crate::support::wait_for;

#[test]
fn an_invoice_is_mailed_by_the_worker_and_lives_in_the_volume() {
    let scene = Scene::new("e2e-stack");
    let project = &scene.project;
    project.howdah(&["up", "-d"]);
    assert!(project.web("/health", &[]).contains("ok"));

    let page = project.create_invoice("Elephant-saddle");
    assert!(page.contains("Elephant-saddle"), "{page}");
    let mails = wait_for("the invoice's mail", Duration::from_secs(30), || {
        let mails = project.mails();
        mails.contains("INV-").then_some(mails)
    });
    assert!(mails.contains("25.00"), "the mail shows the total: {mails}");
    let status = "select delivery_status from invoices join invoice_lines on invoice_id = invoices.id \
                  where description = 'Elephant-saddle'";
    project.wait_for_query(status, "sent", Duration::from_secs(10));

    project.howdah(&["down"]);
    project.howdah(&["up", "-d"]);
    assert_eq!(project.query(status), "sent", "the volume outlives `down`");
    assert!(project.web("/invoices", &[]).contains("Invoices"));

    project.howdah(&["down", "-v"]);
    project.howdah(&["up", "-d"]);
    assert_eq!(project.query(status), "", "`down -v` removes the volume");
}
