// A small face of libvpx: its structures differ from release to release, so they stay on this side.

#include <stdint.h>
#include <stdlib.h>
#include <vpx/vp8cx.h>
#include <vpx/vpx_encoder.h>

typedef struct {
  vpx_codec_ctx_t codec;
  vpx_codec_enc_cfg_t config;
  vpx_image_t image;
  vpx_codec_pts_t now;
  int open;
} waldo_vp8;

void waldo_vp8_free(waldo_vp8 *encoder) {
  if (encoder != NULL && encoder->open) {
    vpx_codec_destroy(&encoder->codec);
  }
  free(encoder);
}

// An encoder for pictures of one size, or NULL.
waldo_vp8 *waldo_vp8_new(uint32_t width, uint32_t height, uint32_t bits_per_second, uint32_t intra_period) {
  waldo_vp8 *encoder = calloc(1, sizeof(waldo_vp8));
  if (encoder == NULL || vpx_codec_enc_config_default(vpx_codec_vp8_cx(), &encoder->config, 0) != VPX_CODEC_OK) {
    free(encoder);
    return NULL;
  }
  vpx_codec_enc_cfg_t *config = &encoder->config;
  config->g_w = width;
  config->g_h = height;
  config->g_threads = 1;
  config->g_timebase.num = 1;
  config->g_timebase.den = 1000000;
  config->g_lag_in_frames = 0;
  config->g_pass = VPX_RC_ONE_PASS;
  config->rc_end_usage = VPX_CBR;
  config->rc_target_bitrate = bits_per_second / 1000;
  config->rc_dropframe_thresh = 0;
  config->rc_min_quantizer = 4;
  config->rc_max_quantizer = 58;
  config->rc_undershoot_pct = 100;
  config->rc_overshoot_pct = 15;
  config->rc_buf_initial_sz = 300;
  config->rc_buf_optimal_sz = 400;
  config->rc_buf_sz = 600;
  config->kf_mode = VPX_KF_AUTO;
  config->kf_max_dist = intra_period;
  if (vpx_codec_enc_init(&encoder->codec, vpx_codec_vp8_cx(), config, 0) != VPX_CODEC_OK) {
    free(encoder);
    return NULL;
  }
  encoder->open = 1;
  vpx_codec_control(&encoder->codec, VP8E_SET_CPUUSED, -8);
  vpx_codec_control(&encoder->codec, VP8E_SET_STATIC_THRESHOLD, 1u);
  vpx_codec_control(&encoder->codec, VP8E_SET_NOISE_SENSITIVITY, 0u);
  vpx_codec_control(&encoder->codec, VP8E_SET_MAX_INTRA_BITRATE_PCT, 600u);
  return encoder;
}

// Changes the target while the stream goes on. Returns a vpx_codec_err_t.
int waldo_vp8_set_bitrate(waldo_vp8 *encoder, uint32_t bits_per_second) {
  encoder->config.rc_target_bitrate = bits_per_second / 1000;
  return vpx_codec_enc_config_set(&encoder->codec, &encoder->config);
}

// Encodes one picture. `data` points to what came of it until the next call; it is NULL if nothing did. Returns a
// vpx_codec_err_t.
int waldo_vp8_encode(waldo_vp8 *encoder, const uint8_t *y, const uint8_t *u, const uint8_t *v, int y_stride,
                     int chroma_stride, uint32_t microseconds, int keyframe, const uint8_t **data, size_t *length,
                     int *is_keyframe) {
  *data = NULL;
  *length = 0;
  // Only read by the encoder; the library's structure has no room for that promise.
  uint8_t *planes = (uint8_t *)y;
  if (vpx_img_wrap(&encoder->image, VPX_IMG_FMT_I420, encoder->config.g_w, encoder->config.g_h, 1, planes) == NULL) {
    return VPX_CODEC_INVALID_PARAM;
  }
  encoder->image.planes[VPX_PLANE_Y] = (uint8_t *)y;
  encoder->image.planes[VPX_PLANE_U] = (uint8_t *)u;
  encoder->image.planes[VPX_PLANE_V] = (uint8_t *)v;
  encoder->image.stride[VPX_PLANE_Y] = y_stride;
  encoder->image.stride[VPX_PLANE_U] = chroma_stride;
  encoder->image.stride[VPX_PLANE_V] = chroma_stride;
  vpx_enc_frame_flags_t flags = keyframe ? VPX_EFLAG_FORCE_KF : 0;
  vpx_codec_err_t result =
      vpx_codec_encode(&encoder->codec, &encoder->image, encoder->now, microseconds, flags, VPX_DL_REALTIME);
  encoder->now += microseconds;
  if (result != VPX_CODEC_OK) {
    return result;
  }
  vpx_codec_iter_t at = NULL;
  const vpx_codec_cx_pkt_t *packet;
  while ((packet = vpx_codec_get_cx_data(&encoder->codec, &at)) != NULL) {
    if (packet->kind == VPX_CODEC_CX_FRAME_PKT) {
      *data = packet->data.frame.buf;
      *length = packet->data.frame.sz;
      *is_keyframe = (packet->data.frame.flags & VPX_FRAME_IS_KEY) != 0;
    }
  }
  return VPX_CODEC_OK;
}

const char *waldo_vp8_error(int code) {
  return vpx_codec_err_to_string((vpx_codec_err_t)code);
}
