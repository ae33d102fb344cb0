//! The meshes of a scene: which are to be read, are read, or cannot be.
//!
//! Reading takes time, so it is done one mesh at a time; while one waits, the same content is not put in line again. A mesh
//! whose content changes keeps its old form until the new one is read.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use waldo_protocol::field::SceneState;

use super::model::{Model, read};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Meshes {
    entries: BTreeMap<String, Entry>,
    reads: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    content: Arc<str>,
    waits: bool,
    model: Option<Rc<Model>>,
    fault: Option<String>,
}

impl Meshes {
    /// Takes over which meshes there are.
    pub fn take(&mut self, scene: &SceneState) {
        self.entries.retain(|id, _| scene.meshes.contains_key(id));
        for (id, mesh) in &scene.meshes {
            let Some(content) = &mesh.asset_uri else { continue };
            match self.entries.get_mut(id) {
                Some(entry) if Arc::ptr_eq(&entry.content, content) || entry.content == *content => {}
                Some(entry) => (entry.content, entry.waits) = (content.clone(), true),
                None => {
                    let entry = Entry { content: content.clone(), waits: true, model: None, fault: None };
                    self.entries.insert(id.clone(), entry);
                }
            }
        }
    }

    /// Reads one mesh that waits. False if none does.
    pub fn read_one(&mut self) -> bool {
        let Some(entry) = self.entries.values_mut().find(|entry| entry.waits) else { return false };
        entry.waits = false;
        self.reads += 1;
        match read(&entry.content) {
            Ok(model) => (entry.model, entry.fault) = (Some(Rc::new(model)), None),
            Err(fault) => (entry.model, entry.fault) = (None, Some(fault)),
        }
        true
    }

    /// The form of a mesh, once it is read.
    pub fn model(&self, id: &str) -> Option<&Rc<Model>> {
        self.entries.get(id)?.model.as_ref()
    }

    /// How many were read so far, counting every time.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// How many have a form.
    pub fn drawn(&self) -> usize {
        self.entries.values().filter(|entry| entry.model.is_some()).count()
    }

    /// The first mesh that cannot be drawn, for a person.
    pub fn fault(&self) -> Option<String> {
        let (id, fault) = self.entries.iter().find_map(|(id, entry)| Some((id, entry.fault.as_ref()?)))?;
        Some(format!("The mesh {id} is not drawn: {fault}."))
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::field::Mesh;

    use super::*;

    const GOOD: &str = include_str!("triangle.uri");

    fn scene(content: &str) -> SceneState {
        let mut scene = SceneState::default();
        scene.meshes.insert("m".to_owned(), Mesh::new("m", "o", Arc::from(content)));
        scene
    }

    #[test]
    fn a_mesh_is_read_once_however_often_its_content_comes() {
        let mut meshes = Meshes::default();
        for _ in 0..3 {
            meshes.take(&scene(GOOD));
        }
        assert!(meshes.model("m").is_none());
        assert!(meshes.read_one());
        assert!(meshes.model("m").is_some());
        meshes.take(&scene(GOOD));
        assert!(!meshes.read_one());
    }

    #[test]
    fn a_mesh_without_its_content_stays_what_it_was() {
        let mut meshes = Meshes::default();
        meshes.take(&scene(GOOD));
        meshes.read_one();
        let mut later = scene(GOOD);
        later.meshes.get_mut("m").unwrap().asset_uri = None;
        meshes.take(&later);
        assert!(!meshes.read_one() && meshes.model("m").is_some());
    }

    #[test]
    fn changed_content_is_read_anew_and_the_old_form_stays_until_then() {
        let mut meshes = Meshes::default();
        meshes.take(&scene(GOOD));
        meshes.read_one();
        meshes.take(&scene("data:;base64,"));
        assert!(meshes.model("m").is_some() && meshes.fault().is_none());
        assert!(meshes.read_one());
        assert!(meshes.model("m").is_none());
        assert!(meshes.fault().unwrap().starts_with("The mesh m is not drawn: it is no binary glTF"));
        meshes.take(&scene(GOOD));
        meshes.read_one();
        assert_eq!((meshes.fault(), meshes.drawn()), (None, 1));
    }

    #[test]
    fn a_mesh_that_is_gone_is_forgotten() {
        let mut meshes = Meshes::default();
        meshes.take(&scene("nonsense"));
        meshes.read_one();
        meshes.take(&SceneState::default());
        assert_eq!(meshes.fault(), None);
        meshes.take(&scene("nonsense"));
        assert!(meshes.read_one());
    }
}
