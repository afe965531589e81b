// Starts the dashboard once the browser has painted the page: reading and compiling its scripts would come before that.

new PerformanceObserver((_, observer) => {
  observer.disconnect();
  import("./app.js");
}).observe({ type: "paint", buffered: true });
