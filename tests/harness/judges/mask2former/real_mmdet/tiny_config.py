"""mmdet's own configuration of GenEval's detector, in the sizes of the golden weights."""

_base_ = "mmdet::mask2former/mask2former_swin-s-p4-w7-224_8xb2-lsj-50e_coco.py"
attention = {"embed_dims": 64, "num_heads": 4}
positions = {"num_feats": 32}
pixel_layer = {"self_attn_cfg": attention, "ffn_cfg": {"embed_dims": 64, "feedforward_channels": 128}}
layer = {
    "self_attn_cfg": attention,
    "cross_attn_cfg": attention,
    "ffn_cfg": {"embed_dims": 64, "feedforward_channels": 160},
}
model = {
    "backbone": {"embed_dims": 12, "depths": [2, 2, 3, 2], "num_heads": [1, 2, 3, 4]},
    "panoptic_head": {
        "in_channels": [12, 24, 48, 96],
        "feat_channels": 64,
        "out_channels": 64,
        "num_queries": 20,
        "pixel_decoder": {
            "encoder": {"num_layers": 2, "layer_cfg": pixel_layer},
            "positional_encoding": positions,
        },
        "positional_encoding": positions,
        "transformer_decoder": {"num_layers": 4, "layer_cfg": layer},
    },
}
