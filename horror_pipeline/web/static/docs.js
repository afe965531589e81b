// The description of the API, shown by Swagger UI from its installed package.

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

const main = document.getElementById("main");

window.SwaggerUIBundle({
  url: "/openapi.json",
  domNode: main,
  deepLinking: false, // its links would be nested in buttons
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  onComplete: () => main.querySelectorAll("h3, h4").forEach((heading) => heading.setAttribute("aria-level", "2")), // the heading above them is an h1
});
