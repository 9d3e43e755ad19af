export default { more: 7 };
