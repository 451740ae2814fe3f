"use strict";

window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // A token is forgotten when the page is left: what a browser stores, others may read.
  persistAuthorization: false,
  // Nothing is asked of a server elsewhere.
  validatorUrl: null,
});
