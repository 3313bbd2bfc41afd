
export{follow}from"./follow-DqxLaOAh.js";