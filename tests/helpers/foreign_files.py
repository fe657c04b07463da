"""Small good files of foreign formats, which tests change in one place or in several."""

from __future__ import annotations

from typing import Final

VOC: Final = (
    "<annotation><filename>a.png</filename><size><width>200</width><height>100</height></size>"
    "<object><name>car</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax>"
    "</bndbox><polygon><x1>1</x1><y1>2</y1></polygon></object></annotation>"
)
CVAT: Final = (
    "<annotations><meta><task><labels><label><name>car</name></label><label><name>p</name><svg>"
    '&lt;line data-node-from="1"&gt;&lt;/line&gt;</svg></label></labels></task></meta>'
    '<image name="a.png" width="200" height="100"><box label="car" xtl="1" ytl="2" xbr="3" ybr="4" '
    'rotation="3"/><mask label="car" rle="1,2,1" left="1" top="1" width="2" height="2"/>'
    '<skeleton label="p"><points label="x" points="1,2"/></skeleton></image>'
    '<track label="car"><box frame="1" xtl="1" ytl="2" xbr="3" ybr="4"/></track></annotations>'
)
LABELME: Final = (
    '{"shapes":[{"label":"car","points":[[1,2],[3,4],[5,0]],"group_id":1,"shape_type":"polygon",'
    '"flags":{"a":true}},{"label":"car","points":[[1,2],[3,4]],"shape_type":"circle"},{"label":"x",'
    '"points":[[1,2]],"shape_type":"mask","mask":"iVBORw0KGgo="}],"imagePath":"a.png",'
    '"imageData":"AAAA","imageWidth":200,"imageHeight":100}'
)
LABELBOX: Final = (
    '{"data_row":{"external_id":"a.png"},"media_attributes":{"width":200,"height":100},"projects":'
    '{"p":{"labels":[{"annotations":{"classifications":[{"name":"x"}],"objects":[{"name":"car",'
    '"bounding_box":{"left":1,"top":2,'
    '"width":3,"height":4}},{"name":"car","polygon":[{"x":1,"y":2}]}]}}]}}}\n'
)
COCO: Final = (
    '{"info":{},"images":[{"id":1,"file_name":"a.png","width":200,"height":100}],"categories":['
    '{"id":1,"name":"person","supercategory":"x","keypoints":["a","b"],"skeleton":[[1,2]]}],'
    '"annotations":[{"id":1,"image_id":1,"category_id":1,"bbox":[1,2,3,4],"area":12,"iscrowd":0,'
    '"segmentation":[[1,2,3,2,3,4]],"keypoints":[1,2,2,3,4,1],"num_keypoints":2},'
    '{"id":2,"image_id":1,"category_id":1,"iscrowd":1,"bbox":[0,0,9,9],'
    '"segmentation":{"size":[100,200],"counts":[5000,100,14900]}},'
    '{"id":3,"image_id":1,"category_id":1,"segmentation":{"size":[100,200],"counts":"Xm41b1N0"}},'
    '{"id":4,"image_id":1,"caption":"A street."}]}'
)
FILES: Final = {
    "coco": {"a.json": COCO},
    "coco-results": {
        "a.json": '[{"image_id":1,"category_id":1,"bbox":[1,2,3,4],"score":0.5},{"image_id":1,'
        '"category_id":1,"score":0.9,"segmentation":{"size":[100,200],"counts":"Xm41b1N0"}}]',
        "images.json": COCO,
    },
    "voc": {"a.xml": VOC},
    "cvat": {"annotations.xml": CVAT},
    "labelme": {"a.json": LABELME},
    "labelbox": {"a.ndjson": LABELBOX},
    "kitti": {"a.txt": "Car 0 0 0 1 2 3 4 0 0 0 0 0 0 0 0.5\n"},
    "yolo": {
        "labels/a.txt": "0 0.5 0.5 0.5 0.5\n1 0 0 1 0 1 1\n",
        "data.yaml": "path: .\ntrain: images\nnames: {0: car, 1: dog}\n",
    },
    "yolo-obb": {
        "a.txt": "0 0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4\n",
        "obj.data": "classes = 1\ntrain = train.txt\nnames = obj.names\n",
        "obj.names": "car\n",
        "train.txt": "images/a.png\n",
    },
    "yolo-pose": {
        "labels/a.txt": "0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.2 0.2 1\n",
        "data.yaml": "train: l.txt\nnames: [car]\nkpt_shape: [2, 3]\nkpt_names: {0: [a, b]}\n",
        "l.txt": "./images/a.png\n",
    },
}
"""For each format good files, which are changed in one place or in several."""
