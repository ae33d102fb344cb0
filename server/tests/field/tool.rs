//! `waldo field publish`, as a person runs it.

use std::process::{Child, Command, Stdio};

use waldo_server::field::{FieldConfig, FieldServer, MultiArmPassThroughBackend};

use super::harness::*;

/// The program; ended with the test.
struct Tool(Child);

impl Tool {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waldo"));
        command.args(["field", "publish"]).args(arguments).env_remove("WALDO_LOG");
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn interrupt(&self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_mesh_and_points_are_there_for_as_long_as_the_program_runs() {
    let setup = start();
    let folder = tempfile::tempdir().unwrap();
    let (mesh, points) = (folder.path().join("crate.glb"), folder.path().join("scan.csv"));
    std::fs::write(&mesh, b"glTF\x02\0\0\0").unwrap();
    std::fs::write(&points, "x,y,z\n0,1,-0.5\n0.1,1,-0.5\n").unwrap();
    let url = format!("ws://{}", setup.addr());
    let mut tool = Tool::start(&[
        "--url",
        &url,
        "--owner",
        "cam_rig",
        "--mesh",
        mesh.to_str().unwrap(),
        "--points",
        points.to_str().unwrap(),
        "--position",
        "0.5,0.8,-1",
        "--scale",
        "2",
    ]);
    let mut viewer = setup.spectator().await;
    let scene = viewer.scene_where(|scene| scene["overlay_points"]["scan"].is_object()).await;
    let shown = &scene["meshes"]["crate"];
    assert_eq!(shown["owner_id"], "cam_rig");
    assert_eq!((&shown["translation"][0], &shown["scale"][2]), (&0.5.into(), &2.0.into()));
    assert_eq!(shown["static_asset"], true);
    assert_eq!(scene["overlay_points"]["scan"]["points"][1][0], 0.1);
    tool.interrupt();
    assert!(tool.0.wait().unwrap().success());
    viewer.scene_where(|scene| scene["meshes"]["crate"].is_null() && scene["overlay_points"]["scan"].is_null()).await;
}

#[tokio::test]
async fn what_was_published_comes_back_with_the_field() {
    let first = start();
    let addr = first.addr();
    let folder = tempfile::tempdir().unwrap();
    let points = folder.path().join("scan.csv");
    std::fs::write(&points, "0,1,2\n").unwrap();
    let _tool = Tool::start(&["--url", &format!("ws://{addr}"), "--points", points.to_str().unwrap()]);
    until("it is there", || first.server.scene().overlay_points.contains_key("scan")).await;
    first.server.stop();
    first.server.stopped().await;
    drop(first);
    let again = FieldServer::new(FieldConfig { listen: Some(addr), ..FieldConfig::default() });
    again.start(Box::new(MultiArmPassThroughBackend::new())).unwrap();
    until("it is there again", || again.scene().overlay_points.contains_key("scan")).await;
}

#[tokio::test]
async fn what_the_field_refuses_is_said_and_ends_it() {
    let setup = start();
    let _amy = setup.user("amy").await;
    let folder = tempfile::tempdir().unwrap();
    let mesh = folder.path().join("crate.glb");
    std::fs::write(&mesh, b"glTF").unwrap();
    let url = format!("ws://{}", setup.addr());
    let mut tool = Tool::start(&["--url", &url, "--owner", "amy", "--mesh", mesh.to_str().unwrap()]);
    let status = tokio::task::spawn_blocking(move || {
        let status = tool.0.wait().unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut tool.0.stderr.take().unwrap(), &mut said).unwrap();
        (status, said)
    });
    let (status, said) = status.await.unwrap();
    assert!(!status.success() && said.contains("owner_id already in use"), "{said}");
}
