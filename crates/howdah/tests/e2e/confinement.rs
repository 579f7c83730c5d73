//! Seed A's security model: the application's user can neither install, nor listen below 1024, nor read root's files.

use crate::Scene;
use crate::support::failure;
use crate::support::project::Project;

#[test]
fn the_application_runs_as_an_ordinary_user_without_tools() {
    let scene = Scene::new("e2e-confined");
    let project = &scene.project;
    project.howdah(&["up", "-d"]);
    for service in ["web", "worker"] {
        assert_eq!(
            project.exec(service, &["id", "-u"]).trim(),
            "1000",
            "{service}"
        );
        assert_eq!(
            project.exec(service, &["id", "-g"]).trim(),
            "1000",
            "{service}"
        );
        assert_eq!(
            owner_of_first_process(project, service),
            "1000",
            "{service}"
        );
        for tool in ["gcc", "cc", "make", "npm", "node", "composer", "git"] {
            let found = project.exec(
                service,
                &["sh", "-c", &format!("command -v {tool} || true")],
            );
            assert_eq!(found.trim(), "", "{service} has {tool}");
        }
        refused(project, service, &["cat", "/etc/shadow"], "denied");
        refused(
            project,
            service,
            &["apt-get", "install", "-y", "sl"],
            "denied",
        );
        refused(project, service, &["touch", "/usr/bin/planted"], "denied");
        refused(project, service, &["mkdir", "/sys/fs/cgroup/planted"], "");
        let listen = "echo @stream_socket_server('tcp://0.0.0.0:80', $code, $message) ? 'listens' : $message;";
        assert_eq!(
            project.exec(service, &["php", "-n", "-r", listen]),
            "Permission denied",
            "{service}: port 80"
        );
    }
}

fn owner_of_first_process(project: &Project, service: &str) -> String {
    project
        .exec(service, &["stat", "-c", "%u", "/proc/1"])
        .trim()
        .to_owned()
}

fn refused(project: &Project, service: &str, command: &[&str], reason: &str) {
    let told = failure(&mut project.command(&[&["exec", "-T", service], command].concat()));
    assert!(
        told.to_lowercase().contains(reason),
        "{service} {command:?}: {told}"
    );
}
