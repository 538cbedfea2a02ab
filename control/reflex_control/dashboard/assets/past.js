// A session that has ended: its charts stand still.

import { Heartbeats } from "./heartbeats.js";

new Heartbeats(document.querySelector("#charts"));
