// The button that turns the theme: automatic, light, dark.
import { icon } from "./dom.js";
import { t } from "./i18n.js";
import * as settings from "./settings.js";

const ICONS = {
  auto: ["M12 4a8 8 0 1 0 0 16z", "M12 4a8 8 0 0 1 0 16"],
  light: ["M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z", "M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4"],
  dark: ["M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z"],
};

/** Shows the theme and changes it. */
export class ThemeButton {
  /**
   * @param {HTMLElement} button the button
   * @param {() => void} onchange called after the theme has changed
   */
  constructor(button, onchange) {
    this.button = button;
    settings.applyTheme(settings.savedTheme());
    button.addEventListener("click", () => {
      const next = (settings.THEMES.indexOf(settings.savedTheme()) + 1) % settings.THEMES.length;
      settings.applyTheme(settings.THEMES[next]);
      this.relabel();
      onchange();
    });
  }

  /** Write the label again, after a change of language or theme. */
  relabel() {
    const mode = settings.savedTheme();
    const label = t("theme", { mode: t(`theme_${mode}`) });
    this.button.replaceChildren(icon(...ICONS[mode]));
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
  }
}
