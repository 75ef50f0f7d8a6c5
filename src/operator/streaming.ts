/** Whether the answer is a stream, whose reader may have enough of it, as `head` has. */
export const streaming = { isOn: false };
