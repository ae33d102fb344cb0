//! Loads the headset emulator (the npm packages `iwer` and `@iwer/devui`) into the page, on request only.

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::HtmlScriptElement;

use crate::browser::document;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = IWER)]
    type XRDevice;

    #[wasm_bindgen(constructor, js_namespace = IWER)]
    fn new(config: &JsValue) -> XRDevice;

    #[wasm_bindgen(method, js_name = installRuntime)]
    fn install_runtime(this: &XRDevice, options: &JsValue);

    #[wasm_bindgen(method, js_name = installDevUI)]
    fn install_dev_ui(this: &XRDevice, constructor: &JsValue);

    #[wasm_bindgen(thread_local_v2, js_namespace = IWER, js_name = metaQuest3)]
    static META_QUEST_3: JsValue;

    #[wasm_bindgen(thread_local_v2, js_namespace = IWER_DevUI, js_name = DevUI)]
    static DEV_UI: JsValue;
}

/// Whether the emulator is in the page, loaded by [`install`] or by a test before the app.
///
/// It calls the position of everything emulated, tracked or not, so that word means nothing there.
pub(crate) fn is_loaded() -> bool {
    js_sys::Reflect::has(&js_sys::global(), &"IWER".into()).unwrap_or(false)
}

/// Makes `navigator.xr` an emulated headset with controls on the screen.
///
/// # Errors
/// If the robot does not serve the emulator's files.
pub(crate) async fn install() -> Result<(), JsValue> {
    load_script("emulator-iwer.js").await?;
    load_script("emulator-devui.js").await?;
    let device = XRDevice::new(&META_QUEST_3.with(Clone::clone));
    let options = js_sys::Object::new();
    // Chromium without a headset has a `navigator.xr` too, one that supports nothing.
    js_sys::Reflect::set(&options, &"forceInstall".into(), &JsValue::TRUE)?;
    device.install_runtime(&options);
    device.install_dev_ui(&DEV_UI.with(Clone::clone));
    Ok(())
}

async fn load_script(url: &str) -> Result<(), JsValue> {
    let script: HtmlScriptElement = document().create_element("script")?.unchecked_into();
    script.set_src(url);
    let done = js_sys::Promise::new(&mut |resolve, reject| {
        script.set_onload(Some(&resolve));
        script.set_onerror(Some(&reject));
    });
    document().head().ok_or("a page without a head")?.append_child(&script)?;
    JsFuture::from(done).await.map(drop)
}
