
export{follow}from"./follow-C8cEWAsr.js";