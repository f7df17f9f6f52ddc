for (const figure of document.querySelectorAll(".interactive")) {
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const [legend, chart] = [figure.querySelector(".legend"), figure.querySelector(".chart")];
  figure.classList.add("drawn");
  const options = {actions: false, renderer: "svg", bind: legend, tooltip: {theme: "custom"}, loader: {target: "_self"}};
  vegaEmbed(chart, spec, options).then(() => {
    figure.querySelector("details").open = false;
  }).catch((error) => {
    figure.classList.remove("drawn");
    console.error(error);
  });
}
