// Opened from the disk, browsers start no worker, which the search is: an empty frame does its work.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.frame = frame.contentWindow;
      const inside = frame.contentDocument;
      inside.open();
      inside.write("<script>window.postMessage = value => parent.postMessage(value, '*')</script>");
      inside.close();
      const script = inside.createElement("script");
      script.src = address;
      this.loaded = new Promise(resolve => script.addEventListener("load", resolve));
      inside.body.append(script);
      window.addEventListener("message", event => {
        if (event.source !== this.frame) return;
        event.stopImmediatePropagation();
        this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
    }

    postMessage(value) {
      this.loaded.then(() => this.frame.dispatchEvent(new MessageEvent("message", { data: value })));
    }
  };
}
