export const EXAMPLE = `Tidewatch collects readings from tide gauges, weather buoys and river level sensors over serial lines, MQTT or plain HTTP, stores them in a compact time series file and draws them in the terminal. It runs without a display on small single-board computers, keeps working when the network is down, and sends the missing readings later.

Alarms can be set on levels and on how fast they rise. When one goes off, Tidewatch runs a command, sends an e-mail or switches a GPIO pin. A small web page shows the last week of every gauge.`;
