//! What publishers put into the scene.

use waldo_protocol::field::{ClientMessage, Extension, MeshAck, OverlayAck, ServerMessage, Status};

use super::{Refused, Session, unhurried};
use crate::field::backend::publisher_id;

impl Session {
    pub(super) async fn on_publication(&self, owner: String, message: ClientMessage) -> Result<(), Refused> {
        let told = |changed: bool| self.ext.has(Extension::Acks).then_some(changed);
        let mesh = |owner_id, mesh_id, status, changed| {
            let changed = told(changed);
            ServerMessage::MeshAck(MeshAck { owner_id, mesh_id, status, changed })
        };
        let overlay = |owner_id, overlay_id, status, changed| {
            let changed = told(changed);
            ServerMessage::OverlayAck(OverlayAck { owner_id, overlay_id, status, changed })
        };
        let (calls, by) = (&self.service.calls, publisher_id(&owner));
        let ack = match message {
            ClientMessage::AddMesh(added) => {
                let (id, mut added) = (added.mesh_id.clone(), added.into_mesh(by));
                // A long text is compared here, where nobody's arms wait for it.
                let known = id.clone();
                let known =
                    calls.call(move |world| world.backend.scene().meshes.get(&known)?.asset_uri.clone()).await?;
                let len = known.as_ref().map_or(0, |known| known.len());
                if let Some(known) = known
                    && unhurried(len, || added.asset_uri.as_ref() == Some(&known))
                {
                    added.asset_uri = Some(known);
                }
                let changed = calls.call(move |world| world.backend.add_mesh(added)).await??;
                mesh(owner, Some(id), Status::Added, changed)
            }
            ClientMessage::UpdateMeshTransform(change) => {
                let id = change.mesh_id.clone();
                let changed = calls.call(move |world| world.backend.update_mesh_transform(&by, &change)).await??;
                mesh(owner, Some(id), Status::Updated, changed)
            }
            ClientMessage::RemoveMesh { mesh_id } => {
                let id = mesh_id.clone();
                let changed = calls.call(move |world| world.backend.remove_mesh(&by, &id)).await?;
                mesh(owner, Some(mesh_id), Status::Removed, changed)
            }
            ClientMessage::ClearMeshes => {
                let changed = calls.call(move |world| world.backend.clear_meshes(&by)).await?;
                mesh(owner, None, Status::Cleared, changed)
            }
            ClientMessage::UpdateOverlayPoints(points) => {
                let (id, points) = (points.overlay_id.clone(), points.into_overlay(by));
                let changed = calls.call(move |world| world.backend.update_overlay(points)).await??;
                overlay(owner, Some(id), Status::Updated, changed)
            }
            ClientMessage::RemoveOverlayPoints { overlay_id } => {
                let id = overlay_id.clone();
                let changed = calls.call(move |world| world.backend.remove_overlay(&by, &id)).await?;
                overlay(owner, Some(overlay_id), Status::Removed, changed)
            }
            ClientMessage::ClearOverlayPoints => {
                let changed = calls.call(move |world| world.backend.clear_overlays(&by)).await?;
                overlay(owner, None, Status::Cleared, changed)
            }
            // The role allows nothing else.
            other => {
                return Err(Refused::new(
                    "unsupported",
                    format!("unsupported publisher message type: {}", other.kind()),
                ));
            }
        };
        self.send(&ack);
        Ok(())
    }
}
